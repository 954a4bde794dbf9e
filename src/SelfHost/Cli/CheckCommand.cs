using System.CommandLine;
using System.Text.Json.Nodes;
using Platform.Domain.Daemons;
using Platform.Domain.Daemons.Format;
using Platform.Hosting;

namespace Platform.SelfHost.Cli;

/// <summary><c>platform check</c>: says what is wrong with a daemon, with line and column. Needs no database.</summary>
internal static class CheckCommand
{
    public static Command Create(Commands commands)
    {
        var file = new Argument<string>("DAEMON") { Description = "The daemon's YAML file, or a folder with a daemon.yaml." };
        return commands.Add("check", "Check a daemon without running it.", [file], ["check examples/sort-folder/daemon.yaml", "check examples/hello --json"], (parse, settings, stop) => Execute(settings, parse.GetValue(file)!, stop));
    }

    /// <summary>Diagnostics as compilers write them: FILE:LINE:COLUMN: severity CODE: message.</summary>
    public static void Show(Terminal terminal, string file, CheckedDaemon daemon)
    {
        foreach (var found in daemon.Diagnostics)
        {
            var severity = found.Severity == Severity.Error ? terminal.Paint("error", Ink.Red) : terminal.Paint("warning", Ink.Yellow);
            terminal.Error.WriteLine($"{file}:{found.Location}: {severity} {found.Code}: {Terminal.Safe(found.Message)}{(found.Fix is null ? "" : $" Fix: {Terminal.Safe(found.Fix)}")}");
        }
    }

    private static async Task<int> Execute(Settings settings, string file, CancellationToken stop)
    {
        var yaml = await DaemonFile.Read(file, stop);
        var parsed = DaemonParser.Parse(yaml);
        var daemon = new CheckedDaemon(parsed.Definition, DaemonChecker.Check(parsed, Runs.ContextOf(BuiltIn.Descriptors())));
        if (settings.Terminal.Json)
        {
            settings.Terminal.Document(new JsonObject
            {
                ["file"] = file,
                ["sound"] = daemon.Sound,
                ["name"] = daemon.Definition?.Name,
                ["version"] = daemon.Definition?.Version,
                ["stages"] = daemon.Definition is { } definition ? StageTree.All(definition).Count() : null,
                ["diagnostics"] = new JsonArray([.. daemon.Diagnostics.Select(d => (JsonNode)RunJson.Diagnostic(d))]),
            });
        }
        else
        {
            Show(settings.Terminal, file, daemon);
            var errors = daemon.Diagnostics.Count(d => d.Severity == Severity.Error);
            settings.Terminal.Line(daemon.Sound
                ? $"{Terminal.Safe(daemon.Definition!.Name)}: sound, {StageTree.All(daemon.Definition).Count()} stages, {daemon.Diagnostics.Count} warnings."
                : $"{file}: {errors} errors, {daemon.Diagnostics.Count - errors} warnings.");
        }

        return daemon.Sound ? ExitCode.Done : ExitCode.Failed;
    }
}
