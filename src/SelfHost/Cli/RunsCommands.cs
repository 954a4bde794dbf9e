using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Platform.Domain.Daemons;
using Platform.EventStore.Projections;
using Platform.Hosting;
using Platform.Messaging;

namespace Platform.SelfHost.Cli;

/// <summary><c>platform runs</c>: the list of runs, newest first.</summary>
internal static class RunsCommand
{
    private static readonly string[] Statuses = ["running", "stopping", "completed", "failed", "timed_out", "cancelled"];

    public static Command Create(Commands commands)
    {
        var status = new Option<string?>("--status") { Description = "Only these: " + string.Join(", ", Statuses) + ".", HelpName = "STATUS" };
        var daemon = new Option<string?>("--daemon") { Description = "Only runs of the daemon of this name.", HelpName = "NAME" };
        var limit = new Option<int>("--limit") { Description = "How many.", DefaultValueFactory = _ => 20 };
        var after = new Option<string?>("--after") { Description = "Go on after this run (the last of the page before).", HelpName = "RUN" };
        return commands.Add("runs", "List runs, newest first.", [status, daemon, limit, after], (parse, settings, stop) =>
            Execute(settings, parse.GetValue(status), parse.GetValue(daemon), parse.GetValue(limit), parse.GetValue(after), stop));
    }

    private static async Task<int> Execute(Settings settings, string? status, string? daemon, int limit, string? after, CancellationToken stop)
    {
        if (status is not null && !Statuses.Contains(status)) { throw new ProblemException(new Problem("runs.status", $"'{status}' is no status: {string.Join(", ", Statuses)}.")); }
        if (limit is < 1 or > Documents.MaxPage) { throw new ProblemException(new Problem("runs.limit", $"--limit is {limit}: 1 to {Documents.MaxPage}.")); }
        await using var installation = await Installation.Open(settings, stop);
        DocumentCursor? cursor = null;
        if (after is not null) { cursor = await installation.Runs.Cursor(settings.Tenant, Installation.RunId(after), stop); }
        var page = await installation.Runs.List(settings.Tenant, status, daemon, cursor, limit, stop);
        if (settings.Terminal.Json)
        {
            foreach (var run in page.Items) { settings.Terminal.Record(RunJson.Summary(run)); }
            return ExitCode.Done;
        }

        settings.Terminal.Table(
            ["RUN", "DAEMON", "STATUS", "STARTED", "TOOK", "STAGES", "COST"],
            [.. page.Items.Select(run => (IReadOnlyList<string>)
            [
                run.RunId,
                Terminal.Safe(run.Daemon),
                run.Status,
                run.StartedAt.ToLocalTime().ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture),
                run.EndedAt is { } ended ? $"{(ended - run.StartedAt).TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture)} s" : "",
                run.StagesDone.ToString(CultureInfo.InvariantCulture),
                run.CostCredits.ToString("0.####", CultureInfo.InvariantCulture),
            ])],
            status is null && daemon is null ? "No runs yet. Try: platform run examples/hello/daemon.yaml" : "No run fits.");
        if (page.Next is not null) { settings.Terminal.Note($"More: platform runs --after {page.Items[^1].RunId}"); }
        return ExitCode.Done;
    }
}

/// <summary><c>platform show</c>: one run, stage by stage; with <c>--follow</c> as it goes on.</summary>
internal static class ShowCommand
{
    public static Command Create(Commands commands)
    {
        var run = new Argument<string>("RUN") { Description = "The run's id." };
        var follow = new Option<bool>("--follow", "-f") { Description = "Show what happens until the run ends." };
        return commands.Add("show", "Show a run, stage by stage.", [run, follow], (parse, settings, stop) => Execute(settings, Installation.RunId(parse.GetValue(run)!), parse.GetValue(follow), stop));
    }

    private static async Task<int> Execute(Settings settings, RunId run, bool follow, CancellationToken stop)
    {
        await using var installation = await Installation.Open(settings, stop);
        if (follow)
        {
            await installation.Runs.Get(settings.Tenant, run, stop);
            var progress = new RunProgress(settings.Terminal);
            await foreach (var recorded in installation.Runs.Follow(settings.Tenant, run.Value, stop)) { progress.Show(recorded); }
            return progress.Report(run);
        }

        var (story, summary) = RunJson.Fold(await installation.Events(run, stop));
        var terminal = settings.Terminal;
        if (terminal.Json)
        {
            terminal.Document(RunJson.Story(story!, summary!));
            return ExitCode.Done;
        }

        terminal.Line($"Run {run}: {Terminal.Safe(summary!.Daemon)} {summary.DaemonVersion}, {summary.Status}");
        terminal.Line($"  started {RunJson.Time(summary.StartedAt)} by {Terminal.Safe(summary.StartedBy)}{(summary.EndedAt is { } ended ? $", ended {RunJson.Time(ended)}" : "")}");
        terminal.Line(string.Create(CultureInfo.InvariantCulture, $"  cost {summary.CostCredits:0.####} credits, {summary.Effects} effects"));
        if (summary.Error is not null) { terminal.Line($"  {terminal.Paint("error", Ink.Red)} {summary.ErrorType}: {Terminal.Safe(summary.Error)}"); }
        terminal.Line();
        terminal.Table(
            ["STAGE", "KIND", "STATUS", "TOOK", "NOTE"],
            [.. story!.Stages.Select(stage => (IReadOnlyList<string>)
            [
                Terminal.Safe(stage.Path),
                stage.Kind ?? "",
                stage.Status,
                stage.EndedAt is { } end ? (end - stage.StartedAt).TotalSeconds.ToString("0.00 's'", CultureInfo.InvariantCulture) : "",
                Terminal.Safe(stage.Errors is { Count: > 0 } errors ? $"{errors[^1].Type}: {errors[^1].Message}" : stage.Note ?? ""),
            ])],
            "No stage has begun.");
        return ExitCode.Done;
    }
}

/// <summary><c>platform cancel</c>.</summary>
internal static class CancelCommand
{
    public static Command Create(Commands commands)
    {
        var run = new Argument<string>("RUN") { Description = "The run's id." };
        var reason = new Option<string>("--reason") { Description = "For the audit trail.", DefaultValueFactory = _ => "asked on the command line" };
        return commands.Add("cancel", "Cancel a run.", [run, reason], async (parse, settings, stop) =>
        {
            var id = Installation.RunId(parse.GetValue(run)!);
            await using var installation = await Installation.Open(settings, stop);
            if ((await installation.Runs.Get(settings.Tenant, id, stop)).Ended is { } ended)
            {
                settings.Terminal.Fail("run.ended", $"Run {id} has ended ({ended}).");
                return ExitCode.Failed;
            }

            await installation.Node.StartWorking(stop);
            await installation.Runs.Cancel(settings.Tenant, id, Installation.User, parse.GetValue(reason)!, stop);
            var progress = new RunProgress(settings.Terminal);
            await foreach (var recorded in installation.Runs.Follow(settings.Tenant, id.Value, stop)) { progress.Show(recorded); }
            settings.Terminal.Line($"Run {id} has ended.");
            return ExitCode.Done;
        });
    }
}

/// <summary><c>platform replay</c>: decides a run again from its log and compares.</summary>
internal static class ReplayCommand
{
    public static Command Create(Commands commands)
    {
        var run = new Argument<string>("RUN") { Description = "The run's id." };
        return commands.Add("replay", "Decide a run again from its log, and compare byte for byte. Nothing is done.", [run], async (parse, settings, stop) =>
        {
            var id = Installation.RunId(parse.GetValue(run)!);
            await using var installation = await Installation.Open(settings, stop);
            var result = await installation.Runs.Replay(settings.Tenant, id, stop);
            if (settings.Terminal.Json)
            {
                settings.Terminal.Document(new JsonObject
                {
                    ["run"] = id.ToString(),
                    ["same"] = result.Difference is null,
                    ["events"] = result.Events,
                    ["decisions"] = result.Decisions,
                    ["difference"] = result.Difference is { } d ? new JsonObject { ["index"] = d.Index, ["recorded"] = d.Recorded, ["derived"] = d.Derived } : null,
                });
            }
            else if (result.Difference is { } difference)
            {
                settings.Terminal.Line($"{settings.Terminal.Paint("Different", Ink.Red)} at event {difference.Index + 1}:");
                settings.Terminal.Line($"  recorded {Terminal.Safe(difference.Recorded ?? "(nothing)")}");
                settings.Terminal.Line($"  derived  {Terminal.Safe(difference.Derived ?? "(nothing)")}");
            }
            else
            {
                settings.Terminal.Line($"Same: {result.Events} events, {result.Decisions} decisions, byte for byte.");
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
        return commands.Add("fork", "Run again from a stage on, with the recorded results before it.", [run, from, daemon], async (parse, settings, stop) =>
        {
            var source = Installation.RunId(parse.GetValue(run)!);
            var yaml = parse.GetValue(daemon) is { } file ? await DaemonFile.Read(file, stop) : null;
            await using var installation = await Installation.Open(settings, stop);
            await installation.Node.StartWorking(stop);
            var fork = await installation.Runs.Fork(settings.Tenant, source, parse.GetValue(from)!, yaml, Installation.User, stop);
            settings.Terminal.Note($"Run {fork}, from '{parse.GetValue(from)}' of {source}");
            var progress = new RunProgress(settings.Terminal);
            await foreach (var recorded in installation.Runs.Follow(settings.Tenant, fork.Value, stop)) { progress.Show(recorded); }
            await installation.Node.Sign(CancellationToken.None);
            return progress.Report(fork);
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
        var limit = new Option<int>("--limit") { Description = "How many.", DefaultValueFactory = _ => 100 };
        var follow = new Option<bool>("--follow", "-f") { Description = "Go on as events come." };
        return commands.Add("events", "The log: filter it, or follow it.", [run, type, after, limit, follow], (parse, settings, stop) =>
            Execute(settings, parse.GetValue(run) is { } id ? Installation.RunId(id) : null, parse.GetValue(type), parse.GetValue(after), parse.GetValue(limit), parse.GetValue(follow), stop));
    }

    private static async Task<int> Execute(Settings settings, RunId? run, string? type, long after, int limit, bool follow, CancellationToken stop)
    {
        await using var installation = await Installation.Open(settings, stop);
        installation.Node.StartReading();
        var store = installation.Node.Store;
        await store.WaitBeyond(await store.CommittedEvents(stop) - 1, stop);
        var shown = 0;
        for (var position = after; shown < limit || follow;)
        {
            var before = position;
            await foreach (var recorded in store.FetchAll(settings.Tenant, position, 500, stop))
            {
                position = recorded.Position;
                if ((run is { } wanted && recorded.StreamId != wanted.Value) || (type is not null && recorded.Alias != type)) { continue; }
                if (settings.Terminal.Json) { settings.Terminal.Record(RunJson.Event(recorded, store.EventTypes)); }
                else { settings.Terminal.Line($"{recorded.Position,8}  {RunJson.Time(recorded.Timestamp)}  {recorded.StreamId}  {recorded.Version,4}  {recorded.Alias}"); }
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

        return ExitCode.Done;
    }
}
