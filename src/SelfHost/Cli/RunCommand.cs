using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using Platform.Domain.Capabilities;
using Platform.Domain.Capabilities.Undoing;
using Platform.Domain.Daemons;
using Platform.Domain.Daemons.Format;
using Platform.Hosting;
using Platform.Messaging;

namespace Platform.SelfHost.Cli;

/// <summary><c>platform run</c>: checks a daemon, runs it here, shows how it goes, and tells what came of it.</summary>
internal static class RunCommand
{
    public static Command Create(Commands commands)
    {
        var file = new Argument<string>("DAEMON") { Description = "The daemon's YAML file." };
        var input = new Option<string[]>("--input", "-i") { Description = "An input; repeat it for more.", HelpName = "NAME=VALUE", AllowMultipleArgumentsPerToken = false };
        var inputs = new Option<string?>("--inputs") { Description = "Inputs as a JSON object in a file ('-': standard input).", HelpName = "FILE" };
        var approve = new Option<string[]>("--approve") { Description = "Allow beforehand what a daemon must ask for: irreversible; compensate (if it fails and undoes itself).", HelpName = "WHAT" };
        var id = new Option<string?>("--id") { Description = "A command id: the same id starts no second run.", HelpName = "ID" };
        return commands.Add("run", "Run a daemon here, on real input.", [file, input, inputs, approve, id], (parse, settings, stop) => Execute(
            settings, parse.GetValue(file)!, parse.GetValue(input) ?? [], parse.GetValue(inputs), parse.GetValue(approve) ?? [], parse.GetValue(id), stop));
    }

    private static async Task<int> Execute(Settings settings, string file, string[] input, string? inputs, string[] approvals, string? commandId, CancellationToken stop)
    {
        var yaml = await DaemonFile.Read(file, stop);
        var parsed = DaemonParser.Parse(yaml);
        await using var installation = await Installation.Open(settings, stop);
        var daemon = installation.Runs.Check(yaml);
        CheckCommand.Show(settings.Terminal, file, daemon, warnings: !settings.Terminal.Json);
        if (!daemon.Sound) { return ExitCode.Usage; }

        var given = Given(daemon.Definition!, input);
        JsonElement? json = inputs is null ? null : await ReadInputs(inputs, stop);
        await installation.Node.StartWorking(stop);
        var (run, repeated, _) = await installation.Runs.Start(settings.Tenant, yaml, json, given, Installation.User, approvals, commandId, stop);
        settings.Terminal.Note(repeated ? $"This command id started run {run} before; here is how it went." : $"Run {run}  {Terminal.Safe(daemon.Definition!.Name)}");

        var progress = new RunProgress(settings.Terminal);
        using var interrupt = Interruption.Watch();
        using var ended = new CancellationTokenSource();
        var cancelling = CancelWhenAsked();
        try
        {
            await foreach (var recorded in installation.Runs.Follow(settings.Tenant, run.Value, interrupt.Leave))
            {
                progress.Show(recorded);
            }

            if (progress.UndoesItself) { await UndoCommand.Follow(installation, UndoId.OnFailureOf(run), null, interrupt.Leave); }
        }
        catch (OperationCanceledException)
        {
            settings.Terminal.Note($"Left at once. Run {run} is kept as it is: the next `platform run` goes on with it; `platform cancel {run}` ends it.");
            return ExitCode.Interrupted;
        }
        finally
        {
            await ended.CancelAsync();
            await cancelling;
        }

        await installation.Node.Sign(CancellationToken.None);
        return progress.Report(run);

        // Beside the events and not between them: a long stage has none while it runs.
        async Task CancelWhenAsked()
        {
            try
            {
                await interrupt.First.WaitAsync(ended.Token);
                await installation.Runs.Cancel(settings.Tenant, run, Installation.User, "Ctrl-C", interrupt.Leave);
            }
            catch (OperationCanceledException) { /* It ended first, or is left at once. */ }
            catch (ProblemException e) { settings.Terminal.Fail(e.Problem.Code, e.Problem.Detail); }
        }
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

/// <summary>Ctrl-C and SIGTERM: the first asks for a clean end, the second leaves at once.</summary>
internal sealed class Interruption : IDisposable
{
    private readonly CancellationTokenSource leave = new();
    private readonly TaskCompletionSource first = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly List<PosixSignalRegistration> registrations = [];
    private int count;

    private Interruption()
    {
        foreach (var signal in (PosixSignal[])[PosixSignal.SIGINT, PosixSignal.SIGTERM])
        {
            registrations.Add(PosixSignalRegistration.Create(signal, context =>
            {
                context.Cancel = true;
                if (Interlocked.Increment(ref count) > 1) { leave.Cancel(); }
                else { first.TrySetResult(); }
            }));
        }
    }

    public CancellationToken Leave => leave.Token;

    /// <summary>Done at the first signal.</summary>
    public Task First => first.Task;

    public static Interruption Watch() => new();

    public void Dispose()
    {
        foreach (var registration in registrations) { registration.Dispose(); }
        leave.Dispose();
    }
}

/// <summary>Shows a run as it goes, and sums it up.</summary>
internal sealed class RunProgress(Terminal terminal)
{
    private readonly Dictionary<string, DateTimeOffset> started = [];
    private readonly Dictionary<string, int> effects = new(StringComparer.Ordinal);
    private readonly List<RecordedEvent> events = [];

    public bool Cancelling { get; set; }

    /// <summary>The daemon wants undone what a failed run did.</summary>
    public bool UndoesItself => events is [.., { Data: RunFailed { Undo: true } }];

    public void Show(RecordedEvent recorded)
    {
        events.Add(recorded);
        switch (recorded.Data)
        {
            case StageStarted e:
                started[e.Path] = e.At;
                break;
            case StageCompleted { Attempt: > 0 } e:
                Line("ok", Ink.Green, e.Path, Took(e.Path, e.At), e.CostCredits, e.Usage?.Method ?? e.Usage?.Isolation);
                break;
            case StageCompleted e:
                Line("ok", Ink.Green, e.Path, null, 0, null);
                break;
            case StageFailed { Response: FailureResponse.Retry } e:
                Line("again", Ink.Yellow, e.Path, Took(e.Path, e.At), e.CostCredits, $"{e.ErrorType}: {e.Message}");
                break;
            case StageFailed e:
                Line("failed", Ink.Red, e.Path, Took(e.Path, e.At), e.CostCredits, $"{e.ErrorType}: {e.Message}");
                break;
            case StageSkipped e:
                Line("skipped", Ink.Dim, e.Path, null, 0, e.Reason);
                break;
            case ForeachExpanded e:
                terminal.Note(string.Create(CultureInfo.InvariantCulture, $"  {"",-8} {Terminal.Safe(e.Path)}: {e.Items.Count} items"));
                break;
            case EffectConfirmed e:
                var capability = events.Select(x => x.Data).OfType<EffectIntended>().First(x => x.EffectId == e.EffectId).Capability;
                effects[capability] = effects.GetValueOrDefault(capability) + 1;
                break;
            case RunCancelRequested:
                Cancelling = true;
                terminal.Note("  Cancelling: what has begun is finished or given up ...");
                break;
        }
    }

    /// <summary>What was done, what it cost, the run's id, and what to try next.</summary>
    public int Report(RunId run)
    {
        var (story, summary) = RunJson.Fold(events);
        var end = events[^1].Data;
        var code = end switch { RunCompleted => ExitCode.Done, RunCancelled => ExitCode.Interrupted, _ => ExitCode.Failed };
        if (terminal.Json)
        {
            var json = RunJson.Story(story!, summary!);
            if (end is RunCompleted completed) { json["outputs"] = new JsonObject([.. completed.Outputs.Select(o => new KeyValuePair<string, JsonNode?>(o.Key, JsonNode.Parse(o.Value.GetRawText())))]); }
            terminal.Document(json);
            return code;
        }

        terminal.Line();
        terminal.Line(end switch
        {
            RunCompleted => terminal.Paint("Done.", Ink.Green),
            RunCancelled => terminal.Paint("Cancelled.", Ink.Yellow),
            RunFailed e => $"{terminal.Paint("Failed", Ink.Red)} ({Terminal.Safe(e.ErrorType)}): {Terminal.Safe(e.Message)}",
            _ => summary!.Status,
        });
        if (end is RunCompleted { Outputs.Count: > 0 } done)
        {
            foreach (var (name, value) in done.Outputs) { terminal.Line($"  {name,-10} {Terminal.Safe(value.ValueKind == JsonValueKind.String ? value.GetString()! : value.GetRawText())}"); }
        }

        var took = summary!.EndedAt - summary.StartedAt;
        terminal.Line(string.Create(CultureInfo.InvariantCulture, $"  {summary.StagesDone} stages done, {summary.StagesFailed} failed, {summary.StagesSkipped} skipped in {took?.TotalSeconds:0.00} s"));
        terminal.Line(effects.Count == 0 ? "  Nothing outside was changed." : $"  Changed: {string.Join(", ", effects.OrderBy(e => e.Key, StringComparer.Ordinal).Select(e => $"{e.Value} x {e.Key}"))}");
        terminal.Line(string.Create(CultureInfo.InvariantCulture, $"  Cost: {summary.CostCredits:0.####} credits"));
        terminal.Line();
        terminal.Line($"Run {run}. Next:");
        terminal.Line($"  platform audit {run}");
        terminal.Line($"  platform undo {run}");
        if (end is RunCancelled or RunFailed && events.Select(e => e.Data).OfType<StageStarted>().LastOrDefault() is { } last)
        {
            var root = last.Path.Split('/')[0].Split('[')[0];
            terminal.Line($"  platform fork {run} --from {root}     (goes on from there)");
        }

        return code;
    }

    private TimeSpan? Took(string path, DateTimeOffset end) => started.TryGetValue(path, out var begin) ? end - begin : null;

    private void Line(string mark, Ink ink, string path, TimeSpan? took, decimal cost, string? note)
    {
        var time = took is { } t ? string.Create(CultureInfo.InvariantCulture, $"{t.TotalSeconds,7:0.00} s") : "";
        var credits = cost > 0 ? string.Create(CultureInfo.InvariantCulture, $"{cost:0.####} credits") : "";
        terminal.Note($"  {terminal.Paint($"{mark,-8}", ink)} {Terminal.Safe(path),-28} {time,9}  {credits}  {(note is null ? "" : Terminal.Safe(note))}".TrimEnd());
    }
}
