using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Platform.Domain.Capabilities;
using Platform.Domain.Capabilities.Undoing;
using Platform.Messaging;

namespace Platform.SelfHost.Cli;

/// <summary><c>platform undo</c>: shows what it would take back, then takes it back, line by line.</summary>
internal static class UndoCommand
{
    public static Command Create(Commands commands)
    {
        var run = new Argument<string?>("RUN") { Description = "The run to undo.", Arity = ArgumentArity.ZeroOrOne };
        var stage = new Option<string?>("--stage") { Description = "Only this stage of the run, and what is within it.", HelpName = "PATH" };
        var effect = new Option<string?>("--effect") { Description = "Only this effect.", HelpName = "ID" };
        var since = new Option<string?>("--since") { Description = "Everything since a moment (2026-01-31T12:00Z) or for the last 30s, 15m, 2h, 1d.", HelpName = "TIME" };
        var user = new Option<string?>("--user") { Description = "With --since: only runs of this user.", HelpName = "NAME" };
        var redo = new Option<string?>("--undo") { Description = "Take an earlier undo back.", HelpName = "UNDO" };
        var cascade = new Option<bool>("--cascade") { Description = "Take back too what others made of it." };
        var dry = new Option<bool>("--dry-run", "-n") { Description = "Only show the plan." };
        var yes = new Option<bool>("--yes", "-y") { Description = "Do not ask." };
        return commands.Add("undo", "Take back what a run did; shows the plan first.", [run, stage, effect, since, user, redo, cascade, dry, yes], (parse, settings, stop) =>
        {
            var selection = new UndoSelection
            {
                Run = parse.GetValue(run) is { } r ? Installation.RunId(r) : null,
                Stage = parse.GetValue(stage),
                Effect = parse.GetValue(effect) is { } e ? EffectId.From(Id(e)) : null,
                Since = parse.GetValue(since) is { } t ? Moment(t) : null,
                User = parse.GetValue(user),
                Undo = parse.GetValue(redo) is { } u ? UndoId.From(Id(u)) : null,
                Cascade = parse.GetValue(cascade),
            };
            return Execute(settings, selection, parse.GetValue(dry), parse.GetValue(yes), stop);
        });
    }

    private static async Task<int> Execute(Settings settings, UndoSelection selection, bool dry, bool yes, CancellationToken stop)
    {
        var terminal = settings.Terminal;
        await using var installation = await Installation.Open(settings, stop);
        installation.Node.StartReading();
        var plan = await installation.Runs.PlanUndo(settings.Tenant, selection, stop);
        if (dry)
        {
            if (terminal.Json) { terminal.Document(new JsonObject { ["plan"] = Lines(plan) }); }
            else { Show(terminal, plan); }
            return plan.IsPartial ? ExitCode.Failed : ExitCode.Done;
        }

        if (!terminal.Json) { Show(terminal, plan); }
        if (plan.Lines.Count == 0) { return ExitCode.Done; }
        if (!yes && !Console.IsInputRedirected && !terminal.Json)
        {
            await terminal.Error.WriteAsync("Do it? [y/N] ");
            if ((await Console.In.ReadLineAsync(stop))?.Trim() is not ("y" or "Y" or "yes")) { return ExitCode.Interrupted; }
        }

        await installation.Node.Bus.Start(stop);
        var undo = await installation.Runs.Undo(settings.Tenant, selection, Installation.User, null, stop);
        var (completed, log) = await Follow(installation, undo, plan, stop);
        await installation.Node.Sign(CancellationToken.None);
        if (terminal.Json)
        {
            terminal.Document(new JsonObject { ["undo"] = undo.ToString(), ["partial"] = completed.Partial, ["undone"] = completed.Undone, ["skipped"] = completed.Skipped, ["refused"] = completed.Refused, ["refusals"] = log });
        }
        else
        {
            terminal.Line();
            terminal.Line(completed.Partial
                ? $"{terminal.Paint("In part", Ink.Yellow)}: {completed.Undone} undone, {completed.Refused} refused, {completed.Skipped} had nothing left to undo."
                : $"{terminal.Paint("Undone", Ink.Green)}: {completed.Undone} effects, {completed.Skipped} had nothing left to undo.");
            terminal.Line($"To take this back: platform undo --undo {undo}");
        }

        return completed.Partial ? ExitCode.Failed : ExitCode.Done;
    }

    /// <summary>Shows an undo line by line, until it has ended.</summary>
    /// <param name="plan">As shown before; null: the one that the undo itself recorded.</param>
    public static async Task<(UndoCompleted Completed, JsonArray Refusals)> Follow(Installation installation, UndoId undo, UndoPlan? plan, CancellationToken stop)
    {
        var terminal = installation.Terminal;
        var refusals = new JsonArray();
        UndoCompleted? completed = null;
        await foreach (var recorded in installation.Runs.Follow(installation.Tenant, undo.Value, stop))
        {
            switch (recorded.Data)
            {
                case UndoRequested e:
                    plan ??= e.Plan;
                    break;
                case EffectUndone e:
                    var line = plan?.Lines.FirstOrDefault(l => l.EffectId == e.EffectId);
                    terminal.Note($"  {terminal.Paint(e.Verification == Verification.Verified ? "undone " : "undone?", Ink.Green)} {Terminal.Safe(line?.StagePath ?? e.EffectId.ToString()),-28} {Terminal.Safe(string.Join(", ", line?.Resources.Select(Resource) ?? []))}");
                    break;
                case EffectUndoRefused e:
                    terminal.Note($"  {terminal.Paint("refused", Ink.Red)} {Terminal.Safe(e.Because)}");
                    refusals.Add((JsonNode)new JsonObject { ["effect"] = e.EffectId.ToString(), ["because"] = e.Because, ["resource"] = e.Resource });
                    break;
                case UndoCompleted e:
                    completed = e;
                    break;
            }
        }

        return (completed!, refusals);
    }

    private static void Show(Terminal terminal, UndoPlan plan) => terminal.Table(
        ["", "STAGE", "WHAT", "WHERE", "WHY"],
        [.. plan.Lines.OrderBy(l => l.Order).Select(line => (IReadOnlyList<string>)
        [
            line.Verdict switch { UndoVerdict.Undo => "undo", UndoVerdict.Compensate => "compensate", UndoVerdict.Drop => "drop", UndoVerdict.Skip => "skip", UndoVerdict.Cannot => "cannot" },
            Terminal.Safe(line.StagePath),
            line.Capability,
            Terminal.Safe(line.Resources.Count == 0 ? "" : Resource(line.Resources[0]) + (line.Resources.Count > 1 ? string.Create(CultureInfo.InvariantCulture, $" (+{line.Resources.Count - 1})") : "")),
            Terminal.Safe(line.Because),
        ])],
        "Nothing to undo.");

    private static JsonArray Lines(UndoPlan plan) => new([.. plan.Lines.OrderBy(l => l.Order).Select(line => (JsonNode)new JsonObject
    {
        ["effect"] = line.EffectId.ToString(),
        ["run"] = line.RunId.ToString(),
        ["stage"] = line.StagePath,
        ["capability"] = line.Capability,
        ["verdict"] = line.Verdict.ToString().ToLowerInvariant(),
        ["because"] = line.Because,
        ["order"] = line.Order,
        ["resources"] = new JsonArray([.. line.Resources.Select(r => (JsonNode)r)]),
    })]);

    private static string Resource(string uri) => uri.StartsWith("file://", StringComparison.Ordinal) ? Uri.UnescapeDataString(uri["file://".Length..]) : uri;

    private static Guid Id(string text) => Guid.TryParse(text, out var id) ? id : throw new ProblemException(new Problem("undo.invalid-id", $"'{text}' is no id."));

    private static DateTimeOffset Moment(string text)
    {
        if (text.Length > 1 && int.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.None, CultureInfo.InvariantCulture, out var count) && char.IsAsciiLetter(text[^1]))
        {
            var ago = text[^1] switch { 's' => TimeSpan.FromSeconds(count), 'm' => TimeSpan.FromMinutes(count), 'h' => TimeSpan.FromHours(count), 'd' => TimeSpan.FromDays(count), _ => TimeSpan.Zero };
            if (ago > TimeSpan.Zero) { return TimeProvider.System.GetUtcNow() - ago; }
        }

        return DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var moment)
            ? moment
            : throw new ProblemException(new Problem("undo.since", $"'{text}' is no moment: write 2026-01-31T12:00Z, or 15m for the last quarter of an hour."));
    }
}
