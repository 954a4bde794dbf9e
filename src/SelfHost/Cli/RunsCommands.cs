using System.CommandLine;
using System.Globalization;
using Platform.Domain.Daemons;
using Platform.EventStore.Projections;
using Platform.Hosting;
using Platform.Messaging;
using Platform.Projections;

namespace Platform.SelfHost.Cli;

/// <summary><c>platform runs</c>: the list of runs, newest first; with <c>--follow</c> each as it starts and ends.</summary>
internal static class RunsCommand
{
    private static readonly string[] Statuses = ["running", "stopping", "completed", "failed", "timed_out", "cancelled"];

    private sealed record Filter(string? Status, string? Daemon, DateTimeOffset? Since);

    public static Command Create(Commands commands)
    {
        var status = new Option<string?>("--status") { Description = "Only these: " + string.Join(", ", Statuses) + ".", HelpName = "STATUS" };
        var daemon = new Option<string?>("--daemon") { Description = "Only runs of the daemon of this name.", HelpName = "NAME" };
        var since = new Option<string?>("--since") { Description = $"Only runs that started since a moment: {Moment.Form}.", HelpName = "TIME" };
        var limit = new Option<int>("--limit") { Description = "How many.", HelpName = "COUNT", DefaultValueFactory = _ => 20 };
        var after = new Option<string?>("--after") { Description = "Go on after this run (the last of the page before).", HelpName = "RUN" };
        var follow = new Option<bool>("--follow", "-f") { Description = "Then go on: a line whenever a run starts or ends." };
        return commands.Add(
            "runs",
            "List runs, newest first.",
            [status, daemon, since, limit, after, follow],
            ["runs --status failed --since 1d", "runs --daemon Hello --limit 5 --json"],
            (parse, settings, stop) =>
            {
                var filter = new Filter(parse.GetValue(status), parse.GetValue(daemon), parse.GetValue(since) is { } t ? Moment.Parse(t, TimeProvider.System.GetUtcNow()) : null);
                return Execute(settings, filter, parse.GetValue(limit), parse.GetValue(after), parse.GetValue(follow), stop);
            });
    }

    private static async Task<int> Execute(Settings settings, Filter filter, int limit, string? after, bool follow, CancellationToken stop)
    {
        if (filter.Status is { } status && !Statuses.Contains(status)) { throw new ProblemException(new Problem("runs.status", $"'{status}' is no status: {string.Join(", ", Statuses)}.")); }
        if (limit is < 1 or > Documents.MaxPage) { throw new ProblemException(new Problem("runs.limit", $"--limit is {limit}: 1 to {Documents.MaxPage}.")); }
        await using var installation = await Installation.Open(settings, stop);
        var seen = await installation.Node.Store.CommittedEvents(stop);
        DocumentCursor? cursor = null;
        if (after is not null) { cursor = await installation.Runs.Cursor(settings.Tenant, await installation.Run(after, stop), stop); }
        var page = await installation.Runs.List(settings.Tenant, filter.Status, filter.Daemon, cursor, limit, stop, filter.Since);
        if (settings.Terminal.Json)
        {
            foreach (var run in page.Items) { settings.Terminal.Record(RunJson.Summary(run)); }
        }
        else
        {
            var empty = filter is { Status: null, Daemon: null, Since: null } && after is null ? "No runs yet. Start one with: platform run examples/hello/daemon.yaml" : "No run fits.";
            settings.Terminal.Table(["RUN", "DAEMON", "STATUS", "STARTED", "TOOK", "STAGES", "COST"], [.. page.Items.Select(run => Row(settings.Terminal, run))], empty);
            if (page.Next is not null) { settings.Terminal.Note($"More: platform runs --after {page.Items[^1].RunId}"); }
        }

        if (follow) { await Follow(installation, filter, seen, stop); }
        return ExitCode.Done;
    }

    private static IReadOnlyList<string> Row(Terminal terminal, RunSummary run) =>
    [
        run.RunId,
        Terminal.Safe(run.Daemon),
        run.Status,
        terminal.Time(run.StartedAt),
        run.EndedAt is { } ended ? $"{(ended - run.StartedAt).TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture)} s" : "",
        run.StagesDone.ToString(CultureInfo.InvariantCulture),
        run.CostCredits.ToString("0.####", CultureInfo.InvariantCulture),
    ];

    private static async Task Follow(Installation installation, Filter filter, long position, CancellationToken stop)
    {
        installation.Node.StartReading();
        var store = installation.Node.Store;
        while (true)
        {
            await store.WaitBeyond(position, stop);
            await foreach (var recorded in store.FetchAll(installation.Tenant, position, Documents.MaxPage, stop))
            {
                position = recorded.Position;
                if (recorded.Data is not (RunStarted or RunCompleted or RunFailed or RunCancelled)) { continue; }
                var (_, summary) = RunJson.Fold(await installation.Events(RunId.From(recorded.StreamId), stop));
                if ((filter.Status is { } status && summary!.Status != status) || (filter.Daemon is { } daemon && summary!.Daemon != daemon)) { continue; }
                if (installation.Terminal.Json) { installation.Terminal.Record(RunJson.Summary(summary!)); }
                else { installation.Terminal.Line(string.Join("  ", Row(installation.Terminal, summary!)).TrimEnd()); }
            }

            position = Math.Max(position, Math.Min(await store.LastPosition(stop), position + Documents.MaxPage));
        }
    }
}

/// <summary><c>platform show</c>: one run, stage by stage; with <c>--follow</c> as it goes on.</summary>
internal static class ShowCommand
{
    public static Command Create(Commands commands)
    {
        var run = new Argument<string>("RUN") { Description = "The run." };
        var follow = new Option<bool>("--follow", "-f") { Description = "Show what happens until the run ends." };
        return commands.Add("show", "Show a run, stage by stage.", [run, follow], ["show last", "show last --json"], (parse, settings, stop) => Execute(settings, parse.GetValue(run)!, parse.GetValue(follow), stop));
    }

    private static async Task<int> Execute(Settings settings, string named, bool follow, CancellationToken stop)
    {
        await using var installation = await Installation.Open(settings, stop);
        var run = await installation.Run(named, stop);
        if (follow)
        {
            await installation.Runs.Get(settings.Tenant, run, stop);
            await using var progress = new RunProgress(settings.Terminal);
            await foreach (var recorded in installation.Runs.Follow(settings.Tenant, run.Value, stop)) { progress.Show(recorded); }
            return await progress.Report(run);
        }

        var (story, summary) = RunJson.Fold(await installation.Events(run, stop));
        var terminal = settings.Terminal;
        if (terminal.Json)
        {
            terminal.Document(RunJson.Story(story!, summary!));
            return ExitCode.Done;
        }

        terminal.Line($"Run {run}: {Terminal.Safe(summary!.Daemon)} {summary.DaemonVersion}, {summary.Status}");
        terminal.Line($"  started {terminal.Time(summary.StartedAt)} by {Terminal.Safe(summary.StartedBy)}{(summary.EndedAt is { } ended ? $", ended {terminal.Time(ended)}" : "")}");
        if (summary.ForkedFrom is not null) { terminal.Line($"  forked from run {summary.ForkedFrom}"); }
        terminal.Line(string.Create(CultureInfo.InvariantCulture, $"  cost {summary.CostCredits:0.####} credits, {summary.Effects} effects"));
        if (summary.Error is not null) { terminal.Line($"  {terminal.Paint("error", Ink.Red)} {summary.ErrorType}: {Terminal.Safe(summary.Error)}"); }
        terminal.Line();
        terminal.Table(
            ["STAGE", "KIND", "STATUS", "TOOK", "COST", "NOTE"],
            [.. story!.Stages.Select(stage => (IReadOnlyList<string>)
            [
                Terminal.Safe(stage.Path),
                stage.Kind ?? "",
                stage.Status,
                stage.EndedAt is { } end ? (end - stage.StartedAt).TotalSeconds.ToString("0.00 's'", CultureInfo.InvariantCulture) : "",
                stage.CostCredits > 0 ? stage.CostCredits.ToString("0.####", CultureInfo.InvariantCulture) : "",
                Terminal.Safe(stage.Errors is { Count: > 0 } errors ? $"{errors[^1].Type}: {errors[^1].Message}" : stage.Note ?? ""),
            ])],
            "No stage has begun.");
        if (story.StagesLeftOut > 0) { terminal.Line(string.Create(CultureInfo.InvariantCulture, $"{story.StagesLeftOut} further stages: platform events --run {run}")); }
        return ExitCode.Done;
    }
}

/// <summary><c>platform cancel</c>.</summary>
internal static class CancelCommand
{
    public static Command Create(Commands commands)
    {
        var run = new Argument<string>("RUN") { Description = "The run." };
        var reason = new Option<string>("--reason") { Description = "For the audit trail.", HelpName = "TEXT", DefaultValueFactory = _ => "asked on the command line" };
        return commands.Add("cancel", "Cancel a run, and see it end.", [run, reason], ["cancel last --reason 'wrong folder'"], async (parse, settings, stop) =>
        {
            await using var installation = await Installation.Open(settings, stop);
            var id = await installation.Run(parse.GetValue(run)!, stop);
            if ((await installation.Runs.Get(settings.Tenant, id, stop)).Ended is { } ended)
            {
                settings.Terminal.Fail("run.ended", $"Run {id} has ended before: {RunJson.Fold(await installation.Events(id, stop)).Summary!.Status}. `platform undo {id}` takes back what it did.");
                return ExitCode.Failed;
            }

            await installation.Node.StartWorking(stop);
            await installation.Runs.Cancel(settings.Tenant, id, Installation.User, parse.GetValue(reason)!, stop);
            await using var progress = new RunProgress(settings.Terminal);
            await foreach (var recorded in installation.Runs.Follow(settings.Tenant, id.Value, stop)) { progress.Show(recorded); }
            await progress.Report(id);
            return ExitCode.Done;
        });
    }
}

/// <summary><c>platform replay</c>: decides a run again from its log and compares.</summary>
internal static class ReplayCommand
{
    public static Command Create(Commands commands)
    {
        var run = new Argument<string>("RUN") { Description = "The run." };
        return commands.Add("replay", "Decide a run again from its log, and compare byte for byte. Nothing is done.", [run], ["replay last"], async (parse, settings, stop) =>
        {
            await using var installation = await Installation.Open(settings, stop);
            var id = await installation.Run(parse.GetValue(run)!, stop);
            var result = await installation.Runs.Replay(settings.Tenant, id, stop);
            if (settings.Terminal.Json) { settings.Terminal.Document(RunJson.Replay(id, result)); }
            else if (result.Difference is { } difference)
            {
                settings.Terminal.Line($"{settings.Terminal.Paint("Different", Ink.Red)} at event {difference.Index + 1}:");
                settings.Terminal.Line($"  recorded {Terminal.Safe(difference.Recorded ?? "(nothing)")}");
                settings.Terminal.Line($"  derived  {Terminal.Safe(difference.Derived ?? "(nothing)")}");
            }
            else
            {
                settings.Terminal.Line($"{settings.Terminal.Paint("Same", Ink.Green)}: {result.Events} events, {result.Decisions} decisions, byte for byte.");
            }

            return result.Difference is null ? ExitCode.Done : ExitCode.Failed;
        });
    }
}

/// <summary><c>platform fork</c>: runs again from a stage on.</summary>
internal static class ForkCommand
{
    public static Command Create(Commands commands)
    {
        var run = new Argument<string>("RUN") { Description = "The run whose outcomes are taken over." };
        var from = new Option<string>("--from") { Description = "The first stage that runs anew.", HelpName = "STAGE", Required = true };
        var daemon = new Option<string?>("--daemon") { Description = "A mended daemon file instead of the run's own.", HelpName = "FILE" };
        return commands.Add("fork", "Run again from a stage on, with the recorded results before it.", [run, from, daemon], ["fork last --from greet", "fork last --from greet --daemon examples/hello/daemon.yaml"], async (parse, settings, stop) =>
        {
            var yaml = parse.GetValue(daemon) is { } file ? await DaemonFile.Read(file, stop) : null;
            await using var installation = await Installation.Open(settings, stop);
            var source = await installation.Run(parse.GetValue(run)!, stop);
            await installation.Node.StartWorking(stop);
            var fork = await installation.Runs.Fork(settings.Tenant, source, parse.GetValue(from)!, yaml, Installation.User, stop);
            settings.Terminal.Note($"Run {fork}, from '{parse.GetValue(from)}' of {source}");
            return await RunCommand.See(installation, fork);
        });
    }
}

/// <summary><c>platform events</c>: the log itself, by position.</summary>
internal static class EventsCommand
{
    public static Command Create(Commands commands)
    {
        var run = new Option<string?>("--run") { Description = "Only of this run.", HelpName = "RUN" };
        var type = new Option<string?>("--type") { Description = "Only of this type, for example stage_failed.", HelpName = "TYPE" };
        var after = new Option<long>("--after") { Description = "Begin after this position.", HelpName = "POSITION" };
        var limit = new Option<int>("--limit") { Description = "How many; with --follow there is no end.", HelpName = "COUNT", DefaultValueFactory = _ => 100 };
        var follow = new Option<bool>("--follow", "-f") { Description = "Go on as events come." };
        return commands.Add("events", "The log: filter it, or follow it.", [run, type, after, limit, follow], ["events --run last", "events --type effect_confirmed --after 10 --limit 5 --json"], (parse, settings, stop) =>
            Execute(settings, parse.GetValue(run), parse.GetValue(type), parse.GetValue(after), parse.GetValue(limit), parse.GetValue(follow), stop));
    }

    private static async Task<int> Execute(Settings settings, string? named, string? type, long after, int limit, bool follow, CancellationToken stop)
    {
        if (limit < 1) { throw new ProblemException(new Problem("events.limit", $"--limit is {limit}: at least 1.")); }
        await using var installation = await Installation.Open(settings, stop);
        RunId? run = named is null ? null : await installation.Run(named, stop);
        if (run is { } wanted) { await installation.Runs.Get(settings.Tenant, wanted, stop); }
        var store = installation.Node.Store;
        if (type is not null && !store.EventTypes.Knows(type)) { throw new ProblemException(new Problem("events.type", $"There is no event type '{Terminal.Safe(type)}': {string.Join(", ", store.EventTypes.All.Select(known => known.Alias).Order(StringComparer.Ordinal))}.")); }
        installation.Node.StartReading();
        await store.WaitBeyond(await store.CommittedEvents(stop) - 1, stop);
        var shown = 0;
        for (var position = after; shown < limit || follow;)
        {
            var before = position;
            await foreach (var recorded in store.FetchAll(settings.Tenant, position, 500, stop))
            {
                position = recorded.Position;
                if ((run is { } one && recorded.StreamId != one.Value) || (type is not null && recorded.Alias != type)) { continue; }
                if (settings.Terminal.Json) { settings.Terminal.Record(RunJson.Event(recorded, store.EventTypes)); }
                else { settings.Terminal.Line($"{recorded.Position,8}  {settings.Terminal.Instant(recorded.Timestamp)}  {recorded.StreamId}  {recorded.Version,4}  {recorded.Alias}"); }
                if (++shown >= limit && !follow) { break; }
            }

            if (position == before)
            {
                var last = await store.LastPosition(stop);
                if (last > position) { position = Math.Min(last, position + 500); continue; }
                if (!follow) { break; }
                await store.WaitBeyond(position, stop);
            }
        }

        if (shown == 0) { settings.Terminal.Note("No event fits."); }
        return ExitCode.Done;
    }
}
