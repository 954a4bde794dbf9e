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
            DatabaseCommands.Create(commands),
            DoctorCommand.Create(commands),
            VersionCommand.Create(commands),
        };
        options.AddTo(root);

        var parsed = root.Parse(arguments);

        // A server answers signals itself, and may take longer to leave than any other command.
        var patience = parsed.CommandResult.Command.Name == ServeCommand.Name ? (TimeSpan?)null : TimeSpan.FromSeconds(30);
        var configuration = new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = patience };
        var code = await parsed.InvokeAsync(configuration);
        return parsed.Errors.Count > 0 ? ExitCode.Usage : code;
    }
}
