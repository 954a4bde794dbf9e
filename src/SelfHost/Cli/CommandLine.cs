using System.CommandLine;

namespace Platform.SelfHost.Cli;

/// <summary>The <c>platform</c> command, whole.</summary>
internal static class CommandLine
{
    public static async Task<int> Run(IReadOnlyList<string> arguments)
    {
        var options = new GlobalOptions();
        var commands = new Commands(options);
        var root = new RootCommand("Runs AI automation on your own ground: every step is an event that you can see, replay and undo.")
        {
            DatabaseCommands.Create(commands),
            VersionCommand.Create(commands),
        };
        options.AddTo(root);

        var parsed = root.Parse(arguments);
        var configuration = new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = TimeSpan.FromSeconds(30) };
        var code = await parsed.InvokeAsync(configuration);
        return parsed.Errors.Count > 0 ? ExitCode.Usage : code;
    }
}
