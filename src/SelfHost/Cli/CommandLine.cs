using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

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
            RunCommand.Create(commands),
            ServeCommand.Create(commands),
            CheckCommand.Create(commands),
            RunsCommand.Create(commands),
            ShowCommand.Create(commands),
            AuditCommand.Create(commands),
            ReplayCommand.Create(commands),
            ForkCommand.Create(commands),
            UndoCommand.Create(commands),
            CancelCommand.Create(commands),
            EventsCommand.Create(commands),
            ProjectionsCommand.Create(commands),
            MessagesCommand.Create(commands),
            ModelsCommand.Create(commands),
            EmbedCommand.Create(commands),
            DatabaseCommands.Create(commands),
            DoctorCommand.Create(commands),
            CompletionCommand.Create(commands),
            VersionCommand.Create(commands),
        };
        options.AddTo(root);
        var help = root.Options.OfType<HelpOption>().Single();
        help.Action = new HelpWithExamples((HelpAction)help.Action!, commands);

        var parsed = root.Parse(arguments);
        if (parsed.Errors.Count > 0 && parsed.Action is ParseErrorAction) { return Misunderstood(parsed, arguments); }

        // A server answers signals itself, and may take longer to leave than any other command.
        var patience = parsed.CommandResult.Command.Name == ServeCommand.Name ? (TimeSpan?)null : TimeSpan.FromSeconds(30);
        var configuration = new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = patience };
        return await parsed.InvokeAsync(configuration);
    }

    private static int Misunderstood(ParseResult parsed, IReadOnlyList<string> arguments)
    {
        var terminal = Terminal.Create(arguments.Contains("--json"), arguments.Contains("--no-color"), verbose: false, utc: false);
        terminal.Fail("usage", string.Join(" ", parsed.Errors.Select(e => e.Message).Distinct(StringComparer.Ordinal)));
        var path = parsed.CommandResult.Command is RootCommand ? "" : $" {string.Join(' ', Path(parsed.CommandResult))}";
        terminal.Note($"`platform{path} --help` tells how it is written.");
        return ExitCode.Usage;
    }

    private static IEnumerable<string> Path(System.CommandLine.Parsing.CommandResult result) =>
        result.Command is RootCommand ? [] : result.Parent is System.CommandLine.Parsing.CommandResult parent ? [.. Path(parent), result.Command.Name] : [result.Command.Name];

    /// <summary>The usual help, then command lines that work, and for the whole program the exit codes.</summary>
    private sealed class HelpWithExamples(HelpAction usual, Commands commands) : SynchronousCommandLineAction
    {
        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parseResult)
        {
            var output = parseResult.InvocationConfiguration.Output;
            var command = parseResult.CommandResult.Command;

            // What every command takes is told once, by the whole program's help.
            if (command is not RootCommand)
            {
                foreach (var option in parseResult.RootCommandResult.Command.Options.Where(o => o.Recursive && o is not HelpOption)) { option.Hidden = true; }
            }

            usual.Invoke(parseResult);
            var examples = commands.ExamplesOf(command);
            if (examples.Count > 0)
            {
                output.WriteLine("Examples:");
                foreach (var example in examples) { output.WriteLine($"  platform {example}"); }
                output.WriteLine();
            }

            if (command is not RootCommand)
            {
                output.WriteLine("Every command takes the options of `platform --help` too: --data, --json ...");
                output.WriteLine();
            }
            else
            {
                output.WriteLine("RUN is a run's id, its beginning or end where that fits one of the newest runs only, or 'last'.");
                output.WriteLine();
                output.WriteLine("Exit codes:");
                foreach (var (code, meaning) in ExitCode.Meanings) { output.WriteLine($"  {code,-4} {meaning}"); }
                output.WriteLine();
            }

            return ExitCode.Done;
        }
    }
}
