using System.CommandLine;

namespace Platform.SelfHost.Cli;

/// <summary><c>platform completion</c>: what a shell needs to complete commands and options. The program itself says what fits.</summary>
internal static class CompletionCommand
{
    private const string Bash = """
        _platform() { mapfile -t COMPREPLY < <("${COMP_WORDS[0]}" "[suggest:$COMP_POINT]" "$COMP_LINE" 2>/dev/null); }
        complete -o default -F _platform platform
        """;

    private const string Zsh = """
        _platform() { reply=("${(@f)$("${words[1]}" "[suggest:$CURSOR]" "$BUFFER" 2>/dev/null)}"); compadd -a reply; }
        compdef _platform platform
        """;

    public static Command Create(Commands commands)
    {
        var shell = new Argument<string>("SHELL") { Description = "bash or zsh." };
        shell.AcceptOnlyFromAmong("bash", "zsh");
        return commands.Add("completion", "Print what a shell needs to complete commands and options.", [shell], ["completion bash >> ~/.bashrc"], (parse, settings, _) =>
        {
            settings.Terminal.Line(parse.GetValue(shell) == "zsh" ? Zsh : Bash);
            return Task.FromResult(ExitCode.Done);
        });
    }
}
