using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Platform.Domain.Capabilities;
using Platform.Domain.Capabilities.Undoing;
using Platform.Hosting;
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
        var since = new Option<string?>("--since") { Description = $"Everything since a moment: {Moment.Form}.", HelpName = "TIME" };
        var user = new Option<string?>("--user") { Description = "With --since: only runs of this user.", HelpName = "NAME" };
        var redo = new Option<string?>("--undo") { Description = "Take an earlier undo back.", HelpName = "UNDO" };
        var cascade = new Option<bool>("--cascade") { Description = "Take back too what others made of it." };
        var others = new Option<bool>("--others") { Description = "Take back too what runs of other users did." };
        var compensations = new Option<int>("--compensations") { Description = "How many effects may be compensated: a trace stays, a refund spends. Without it: none.", HelpName = "COUNT" };
        var plan = new Option<string?>("--plan") { Description = "Do it, without asking, if the plan is still the one of this hash (from --dry-run).", HelpName = "HASH" };
        var dry = new Option<bool>("--dry-run", "-n") { Description = "Only show the plan." };
        var yes = new Option<bool>("--yes", "-y") { Description = "Do it without asking, whatever the plan." };
        var figures = new Option<bool>("--figures") { Description = "Only tell how far undo reaches in all that was done, and how it came out." };
        return commands.Add("undo", "Take back what a run did; shows the plan first.", [run, stage, effect, since, user, redo, cascade, others, compensations, plan, dry, yes, figures], ["undo last --dry-run", "undo last --stage greet --yes", "undo --since 15m --dry-run --json", "undo --figures"], async (parse, settings, stop) =>
        {
            await using var installation = await Installation.Open(settings, stop);
            installation.Node.StartReading();
            if (parse.GetValue(figures)) { return await Figures(installation, stop); }
            var selection = new UndoSelection
            {
                Run = parse.GetValue(run) is { } r ? await installation.Run(r, stop) : null,
                Stage = parse.GetValue(stage),
                Effect = parse.GetValue(effect) is { } e ? EffectId.From(Id(e)) : null,
                Since = parse.GetValue(since) is { } t ? Moment.Parse(t, TimeProvider.System.GetUtcNow()) : null,
                User = parse.GetValue(user),
                Undo = parse.GetValue(redo) is { } u ? UndoId.From(Id(u)) : null,
                Cascade = parse.GetValue(cascade),
                Others = parse.GetValue(others),
                Compensations = parse.GetValue(compensations),
            };
            return parse.GetValue(dry) ? await Preview(installation, selection, stop) : await Execute(installation, selection, parse.GetValue(yes), parse.GetValue(plan), stop);
        });
    }

    private static async Task<int> Preview(Installation installation, UndoSelection selection, CancellationToken stop)
    {
        var plan = await installation.Runs.PlanUndo(installation.Tenant, selection, stop, Installation.User);
        var terminal = installation.Terminal;
        if (terminal.Json)
        {
            terminal.Document(new JsonObject { ["hash"] = plan.Hash, ["plan"] = RunJson.Plan(plan) });
        }
        else
        {
            Show(terminal, plan);
            if (plan.Lines.Count > 0) { terminal.Line($"Nothing was done. For exactly this plan, say instead of --dry-run: --plan {plan.Hash}"); }
        }

        return plan.IsPartial ? ExitCode.Failed : ExitCode.Done;
    }

    /// <param name="hash">Of the plan that was shown before by <c>--dry-run</c>.</param>
    private static async Task<int> Execute(Installation installation, UndoSelection selection, bool yes, string? hash, CancellationToken stop)
    {
        var terminal = installation.Terminal;
        var asks = !yes && hash is null;
        if (asks && (terminal.Json || Console.IsInputRedirected))
        {
            throw new ProblemException(new Problem("undo.not-asked", "Nobody can be asked here: look at the plan with --dry-run and give its hash with --plan HASH, or say --yes to whatever the plan is."));
        }

        var plan = await installation.Runs.PlanUndo(installation.Tenant, selection, stop, Installation.User);
        if (!terminal.Json) { Show(terminal, plan); }
        if (plan.Lines.Count == 0 && (hash is null || hash == plan.Hash))
        {
            if (terminal.Json) { terminal.Document(Result(null, plan, new UndoCompleted(false, 0, 0, 0, default), 0, [])); }
            return ExitCode.Done;
        }

        if (asks)
        {
            await terminal.Error.WriteAsync("Do it? [y/N] ");
            if ((await Console.In.ReadLineAsync(stop))?.Trim() is not ("y" or "Y" or "yes"))
            {
                terminal.Note("Nothing was done.");
                return ExitCode.Failed;
            }

            // What was agreed to is this plan.
            hash = plan.Hash;
        }

        await installation.Node.Bus.Start(stop);
        UndoId undo;
        try
        {
            undo = (await installation.Runs.Undo(installation.Tenant, selection, Installation.User, null, stop, hash)).Undo;
        }
        catch (ProblemException e) when (e.Problem.Code == "undo.plan-changed" && asks)
        {
            var now = await installation.Runs.PlanUndo(installation.Tenant, selection, stop, Installation.User);
            throw new ProblemException(e.Problem with { Detail = $"While you were asked, the plan changed. Nothing was done.\n  {string.Join("\n  ", now.ChangesSince(plan))}" });
        }

        var (completed, unverified, log) = await Follow(installation, undo, plan, stop);
        await installation.Node.Sign(CancellationToken.None);
        if (terminal.Json)
        {
            terminal.Document(Result(undo, plan, completed, unverified, log));
        }
        else
        {
            var seen = unverified == 0 ? "each looked at afterwards" : string.Create(CultureInfo.InvariantCulture, $"{unverified} could not be looked at afterwards");
            terminal.Line();
            terminal.Line(completed.Partial
                ? $"{terminal.Paint("In part", Ink.Yellow)}: {completed.Undone} undone ({seen}), {completed.Refused} refused, {completed.Skipped} had nothing left to undo."
                : $"{terminal.Paint("Undone", Ink.Green)}: {completed.Undone} effects ({seen}), {completed.Skipped} had nothing left to undo.");
            if (completed.Undone > 0) { terminal.Line($"To take this back: platform undo --undo {undo}"); }
        }

        return completed.Partial ? ExitCode.Failed : ExitCode.Done;
    }

    private static async Task<int> Figures(Installation installation, CancellationToken stop)
    {
        var figures = await installation.Runs.UndoFigures(installation.Tenant, stop);
        var terminal = installation.Terminal;
        if (terminal.Json)
        {
            terminal.Document(new JsonObject
            {
                ["effects"] = figures.Effects,
                ["covered"] = figures.Covered,
                ["verified"] = figures.Verified,
                ["unverified"] = figures.Unverified,
                ["refused"] = figures.Refused,
                ["collateral"] = figures.Collateral,
                ["residue"] = figures.Residue,
                ["refusals"] = new JsonArray([.. figures.Refusals.Select(r => (JsonNode)Refusal(r))]),
            });
            return ExitCode.Done;
        }

        terminal.Line(string.Create(CultureInfo.InvariantCulture, $"coverage    {figures.Covered} of {figures.Effects} effects have a way back"));
        terminal.Line(string.Create(CultureInfo.InvariantCulture, $"performed   {figures.Verified + figures.Unverified} inverses, {figures.Verified} of them verified by looking again"));
        terminal.Line(string.Create(CultureInfo.InvariantCulture, $"refused     {figures.Refused}{(figures.Refused > figures.Refusals.Count ? $", the newest {figures.Refusals.Count}:" : "")}"));
        foreach (var refusal in figures.Refusals) { terminal.Line($"            {Terminal.Safe(refusal.Because)}"); }
        terminal.Line(string.Create(CultureInfo.InvariantCulture, $"collateral  {figures.Collateral} things changed that the effect had not touched"));
        terminal.Line(string.Create(CultureInfo.InvariantCulture, $"residue     {figures.Residue} traces of compensations, or inverses of which nobody can say whether they happened"));
        return ExitCode.Done;
    }

    /// <summary>Shows an undo line by line, until it has ended.</summary>
    /// <param name="plan">As shown before; null: the one that the undo itself recorded.</param>
    public static async Task<(UndoCompleted Completed, int Unverified, JsonArray Refusals)> Follow(Installation installation, UndoId undo, UndoPlan? plan, CancellationToken stop)
    {
        var terminal = installation.Terminal;
        var refusals = new JsonArray();
        var unverified = 0;
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
                    if (e.Verification == Verification.Unverified) { unverified++; }
                    terminal.Note($"  {terminal.Paint(e.Verification == Verification.Verified ? "undone " : "undone?", Ink.Green)} {Terminal.Pad(Terminal.Safe(line?.StagePath ?? e.EffectId.ToString()), 28)} {Terminal.Safe(string.Join(", ", line?.Resources.Select(Places.Readable) ?? []))}");
                    break;
                case EffectUndoRefused e:
                    terminal.Note($"  {terminal.Paint("refused", Ink.Red)} {Terminal.Safe(e.Because)}");
                    refusals.Add((JsonNode)Refusal(e));
                    break;
                case UndoCompleted e:
                    completed = e;
                    break;
            }
        }

        return (completed!, unverified, refusals);
    }

    /// <param name="undo">Null where there was nothing to undo.</param>
    private static JsonObject Result(UndoId? undo, UndoPlan plan, UndoCompleted completed, int unverified, JsonArray refusals) => new()
    {
        ["undo"] = undo?.ToString(),
        ["hash"] = plan.Hash,
        ["partial"] = completed.Partial,
        ["undone"] = completed.Undone,
        ["verified"] = completed.Undone - unverified,
        ["skipped"] = completed.Skipped,
        ["refused"] = completed.Refused,
        ["refusals"] = refusals,
    };

    private static JsonObject Refusal(EffectUndoRefused refused) => new() { ["effect"] = refused.EffectId.ToString(), ["because"] = refused.Because, ["resource"] = refused.Resource };

    private static void Show(Terminal terminal, UndoPlan plan) => terminal.Table(
        ["", "STAGE", "WHAT", "WHERE", "WHY"],
        [.. plan.Lines.OrderBy(l => l.Order).Select(line => (IReadOnlyList<string>)
        [
            line.Verdict.Word(),
            Terminal.Safe(line.StagePath),
            line.Capability,
            Terminal.Safe(line.Resources.Count == 0 ? "" : Places.Readable(line.Resources[0]) + (line.Resources.Count > 1 ? string.Create(CultureInfo.InvariantCulture, $" (+{line.Resources.Count - 1})") : "")),
            Terminal.Safe(line.Because),
        ])],
        "Nothing to undo.");

    private static Guid Id(string text) => Guid.TryParse(text, out var id) ? id : throw new ProblemException(new Problem("undo.invalid-id", $"'{text}' is no id."));
}
