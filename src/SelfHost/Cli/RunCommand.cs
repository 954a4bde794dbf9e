using System.CommandLine;
using System.Text.Json;
using Platform.Domain.Capabilities.Undoing;
using Platform.Domain.Daemons;
using Platform.Domain.Daemons.Format;
using Platform.Messaging;

namespace Platform.SelfHost.Cli;

/// <summary><c>platform run</c>: checks a daemon, runs it here, shows how it goes, and tells what came of it.</summary>
internal static class RunCommand
{
    public static Command Create(Commands commands)
    {
        var file = new Argument<string>("DAEMON") { Description = "The daemon's YAML file, or a folder with a daemon.yaml." };
        var input = new Option<string[]>("--input", "-i") { Description = "An input; repeat it for more. Numbers, lists and objects as JSON.", HelpName = "NAME=VALUE", AllowMultipleArgumentsPerToken = false };
        var inputs = new Option<string?>("--inputs") { Description = "Inputs as a JSON object in a file ('-': standard input).", HelpName = "FILE" };
        var approve = new Option<string[]>("--approve") { Description = "Allow beforehand: irreversible (what a daemon must ask for), compensate (if it fails and undoes itself).", HelpName = "WHAT" };
        approve.AcceptOnlyFromAmong("irreversible", "compensate");
        var id = new Option<string?>("--id") { Description = "A command id: the same id starts no second run, it shows the first.", HelpName = "ID" };
        return commands.Add(
            "run",
            "Run a daemon here, on real input.",
            [file, input, inputs, approve, id],
            ["run examples/hello/daemon.yaml --input who=Ada", "run examples/hello --inputs inputs.json --id monday --json"],
            (parse, settings, stop) => Execute(settings, parse.GetValue(file)!, parse.GetValue(input) ?? [], parse.GetValue(inputs), parse.GetValue(approve) ?? [], parse.GetValue(id), stop));
    }

    /// <summary>Shows a run until it ends and sums it up. The first Ctrl-C cancels it, the second leaves it as it is.</summary>
    /// <returns>An <see cref="ExitCode"/>.</returns>
    public static async Task<int> See(Installation installation, RunId run)
    {
        await using var progress = new RunProgress(installation.Terminal);
        using var interrupt = Interruption.Watch();
        using var ended = new CancellationTokenSource();
        var cancelling = CancelWhenAsked();
        try
        {
            await foreach (var recorded in installation.Runs.Follow(installation.Tenant, run.Value, interrupt.Leave)) { progress.Show(recorded); }

            if (progress.UndoesItself) { await UndoCommand.Follow(installation, UndoId.OnFailureOf(run), null, interrupt.Leave); }
        }
        catch (OperationCanceledException)
        {
            await progress.DisposeAsync();
            installation.Terminal.Fail("interrupted", $"Left at once. Run {run} is kept as it is: the next `platform run` goes on with it, and `platform cancel {run}` ends it.");
            return ExitCode.Interrupted;
        }
        finally
        {
            await ended.CancelAsync();
            await cancelling;
        }

        await installation.Node.Sign(CancellationToken.None);
        return await progress.Report(run);

        // Beside the events and not between them: a long stage has none while it runs.
        async Task CancelWhenAsked()
        {
            try
            {
                await interrupt.First.WaitAsync(ended.Token);
                await installation.Runs.Cancel(installation.Tenant, run, Installation.User, "Ctrl-C", interrupt.Leave);
            }
            catch (OperationCanceledException) { /* It ended first, or is left at once. */ }
            catch (ProblemException e) { installation.Terminal.Fail(e.Problem.Code, e.Problem.Detail); }
        }
    }

    private static async Task<int> Execute(Settings settings, string file, string[] input, string? inputs, string[] approvals, string? commandId, CancellationToken stop)
    {
        var yaml = await DaemonFile.Read(file, stop);
        await using var installation = await Installation.Open(settings, stop);
        var daemon = installation.Runs.Check(yaml);
        if (!settings.Terminal.Json) { CheckCommand.Show(settings.Terminal, file, daemon); }
        if (!daemon.Sound)
        {
            settings.Terminal.Fail("daemon.invalid", settings.Terminal.Json ? string.Join("\n", daemon.Diagnostics.Where(d => d.Severity is Severity.Error)) : $"{file} is not run: put right what is said above.");
            return ExitCode.Usage;
        }

        var given = Given(daemon.Definition!, input);
        JsonElement? json = inputs is null ? null : await ReadInputs(inputs, stop);
        await installation.Node.StartWorking(stop);
        var (run, repeated, _) = await installation.Runs.Start(settings.Tenant, yaml, json, given, Installation.User, approvals, commandId, stop);
        settings.Terminal.Note(repeated ? $"This command id started run {run} before; here is how it went." : $"Run {run}  {Terminal.Safe(daemon.Definition!.Name)}");
        return await See(installation, run);
    }

    private static List<KeyValuePair<string, string>> Given(DaemonDefinition daemon, string[] input)
    {
        var given = new List<KeyValuePair<string, string>>();
        foreach (var one in input)
        {
            var at = one.IndexOf('=', StringComparison.Ordinal);
            if (at <= 0) { throw new ProblemException(new Problem("inputs.form", $"'{one}' is no input: write NAME=VALUE.")); }
            var (name, value) = (one[..at], one[(at + 1)..]);

            // A path is meant from where the person stands; a run has no working folder.
            if (daemon.Inputs.Any(declared => declared.Name == name && declared.Type == "file")) { value = Path.TrimEndingDirectorySeparator(Path.GetFullPath(value)); }
            given.Add(new KeyValuePair<string, string>(name, value));
        }

        return given;
    }

    private static async Task<JsonElement> ReadInputs(string file, CancellationToken stop)
    {
        var text = file == "-" ? await Console.In.ReadToEndAsync(stop) : await File.ReadAllTextAsync(file, stop);
        try
        {
            using var document = JsonDocument.Parse(text);
            return document.RootElement.Clone();
        }
        catch (JsonException e)
        {
            throw new ProblemException(new Problem("inputs.json", $"{file} is no JSON: {e.Message}"));
        }
    }
}

/// <summary>Reads a daemon's file, with a clear word where it cannot be.</summary>
internal static class DaemonFile
{
    public static async Task<string> Read(string file, CancellationToken stop)
    {
        if (Directory.Exists(file)) { file = Path.Combine(file, "daemon.yaml"); }
        if (!File.Exists(file)) { throw new ProblemException(new Problem("daemon.no-file", $"There is no file {file}.")); }
        if (new FileInfo(file).Length > 4L * StartRunHandler.MaxDaemonCharacters) { throw new ProblemException(new Problem("daemon.too-large", $"{file} is larger than a daemon's file may be ({StartRunHandler.MaxDaemonCharacters} characters).")); }
        return await File.ReadAllTextAsync(file, stop);
    }
}
