using System.Text.Json.Nodes;
using Platform.Domain.Daemons;
using Platform.EventStore.Projections;
using Platform.Messaging;

namespace Platform.Hosting.Http;

/// <summary>Runs over HTTP.</summary>
public static class RunEndpoints
{
    private const string Path = "/v1/runs";

    /// <summary>Of one page of runs; each is some hundred bytes.</summary>
    private const int MaxPage = 200;

    private const int DefaultPage = 50;

    /// <summary>More names are none that a daemon could mean.</summary>
    private const int MaxApprovals = 16;

    /// <summary>Of a name, a stage, a reason: what a person reads in one look.</summary>
    private const int MaxTextLength = 500;

    private static readonly string[] Statuses = ["running", "stopping", "completed", "failed", "timed_out", "cancelled"];

    public static IReadOnlyList<ApiEndpoint> All { get; } =
    [
        new("POST", "/v1/daemons/check", Check),
        new("POST", Path, Start, Waits: true),
        new("GET", Path, List),
        new("GET", Path + "/{run}", Read, Waits: true),
        new("POST", Path + "/{run}/cancel", Cancel, Waits: true),
        new("POST", Path + "/{run}/fork", Fork, Waits: true),
        new("POST", Path + "/{run}/replay", Replay),
    ];

    /// <summary>Checks a daemon without running it: 200 whatever it finds.</summary>
    public static Task<ApiAnswer> Check(ApiCall call, CancellationToken cancellation)
    {
        call.Query.Only();
        var body = RequestBody.Read(call.Body, "daemon");
        return Task.FromResult(ApiAnswer.Ok(RunJson.Check(call.Runs.Check(Daemon(body) ?? throw Missing()))));
    }

    /// <summary>Starts a run: 201, or 200 where the idempotency key had started it before.</summary>
    public static async Task<ApiAnswer> Start(ApiCall call, CancellationToken cancellation)
    {
        call.Query.Only("wait");
        var body = RequestBody.Read(call.Body, "daemon", "inputs", "approvals");
        var daemon = Daemon(body) ?? throw Missing();
        try
        {
            var started = await call.Runs.Start(call.Tenant, daemon, body.Value("inputs"), null, call.Caller, body.Texts("approvals", MaxApprovals, MaxTextLength), call.Key(), cancellation);
            return await Begun(call, started, cancellation);
        }
        catch (ProblemException e) when (e.Problem.Code == "daemon.invalid")
        {
            return Invalid(call, daemon, e.Problem);
        }
    }

    /// <summary>A run in full, and what it gave if it is completed.</summary>
    public static async Task<ApiAnswer> Read(ApiCall call, CancellationToken cancellation)
    {
        call.Query.Only("wait");
        var run = RunId.From(call.Id("run"));
        if (call.Wait > TimeSpan.Zero)
        {
            await call.Runs.Get(call.Tenant, run, cancellation);
            await Ended(call, run.Value, cancellation);
        }

        return ApiAnswer.Ok(await call.Runs.Read(call.Tenant, run, cancellation));
    }

    /// <summary>Runs, newest first.</summary>
    public static async Task<ApiAnswer> List(ApiCall call, CancellationToken cancellation)
    {
        var query = call.Query.Only("limit", "after", "status", "daemon", "startedFrom", "startedTo");
        var limit = (int)(query.Number("limit", 1, MaxPage) ?? DefaultPage);
        var status = query.Text("status");
        if (status is not null && !Statuses.Contains(status)) { throw ApiQuery.Refuse("status", $"must be one of: {string.Join(", ", Statuses)}"); }
        var (daemon, from, to, after) = (query.Text("daemon"), query.Moment("startedFrom"), query.Moment("startedTo"), query.Id("after"));

        DocumentCursor? cursor = null;
        if (after is { } last)
        {
            try { cursor = await call.Runs.Cursor(call.Tenant, RunId.From(last), cancellation); }
            catch (ProblemException) { throw ApiQuery.Refuse("after", "must be a run of the page before"); }
        }

        var page = await call.Runs.List(call.Tenant, status, daemon, cursor, limit, cancellation, from, to);
        var answer = new JsonObject { ["runs"] = new JsonArray([.. page.Items.Select(run => (JsonNode)RunJson.Summary(run))]) };
        if (page.Next is not null) { answer["next"] = Pages.Next(Path, query, page.Items[^1].RunId); }
        return ApiAnswer.Ok(answer);
    }

    /// <summary>Asks a run to end: 202, or 200 where it was cancelled already.</summary>
    public static async Task<ApiAnswer> Cancel(ApiCall call, CancellationToken cancellation)
    {
        call.Query.Only("wait");
        var run = RunId.From(call.Id("run"));
        var reason = RequestBody.Read(call.Body, "reason").Text("reason", MaxTextLength) ?? "asked over HTTP";
        if ((await call.Runs.Get(call.Tenant, run, cancellation)).Ended is { } ended)
        {
            return ended is RunOutcome.Cancelled
                ? ApiAnswer.Ok(await call.Runs.Read(call.Tenant, run, cancellation))
                : throw new ProblemException(new Problem("run.ended", $"Run {run} has ended: there is nothing left to cancel.", 409));
        }

        var messages = await call.Runs.Cancel(call.Tenant, run, call.Caller, reason, cancellation);
        await Ended(call, run.Value, cancellation);
        return new ApiAnswer(202, await call.Runs.Read(call.Tenant, run, cancellation)) { Headers = Location(run), Messages = messages };
    }

    /// <summary>Runs again from a stage on, with the recorded outcomes before it: 201.</summary>
    public static async Task<ApiAnswer> Fork(ApiCall call, CancellationToken cancellation)
    {
        call.Query.Only("wait");
        var source = RunId.From(call.Id("run"));
        var body = RequestBody.Read(call.Body, "from", "daemon");
        var daemon = Daemon(body);
        try
        {
            return await Begun(call, await call.Runs.Fork(call.Tenant, source, body.RequiredText("from", MaxTextLength), daemon, call.Caller, call.Key(), cancellation), cancellation);
        }
        catch (ProblemException e) when (e.Problem.Code == "daemon.invalid" && daemon is not null)
        {
            return Invalid(call, daemon, e.Problem);
        }
    }

    /// <summary>Decides a run again from its log, and compares. Nothing is done.</summary>
    public static async Task<ApiAnswer> Replay(ApiCall call, CancellationToken cancellation)
    {
        call.Query.Only();
        RequestBody.Read(call.Body);
        var run = RunId.From(call.Id("run"));
        return ApiAnswer.Ok(RunJson.Replay(run, await call.Runs.Replay(call.Tenant, run, cancellation)));
    }

    /// <summary>Waits for the end of a run or an undo as long as the caller is willing to.</summary>
    internal static async Task Ended(ApiCall call, Guid stream, CancellationToken cancellation)
    {
        if (call.Wait <= TimeSpan.Zero) { return; }
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(cancellation, call.Leaving);
        enough.CancelAfter(call.Wait);
        try
        {
            await foreach (var _ in call.Runs.Follow(call.Tenant, stream, enough.Token)) { }
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested) { /* It is shown as it stands. */ }
    }

    private static async Task<ApiAnswer> Begun(ApiCall call, StartedRun started, CancellationToken cancellation)
    {
        await Ended(call, started.Run.Value, cancellation);
        return new ApiAnswer(started.Repeated ? 200 : 201, await call.Runs.Read(call.Tenant, started.Run, cancellation)) { Headers = Location(started.Run), Messages = started.Messages };
    }

    private static string? Daemon(RequestBody body) => body.Text("daemon", StartRunHandler.MaxDaemonCharacters);

    private static ProblemException Missing() =>
        new(new Problem("body.invalid", "/daemon is missing: the text of a daemon's YAML file.", 400, new Dictionary<string, string> { ["pointer"] = "/daemon" }));

    private static ApiAnswer Invalid(ApiCall call, string daemon, Problem problem)
    {
        var answer = Problems.Answer(problem);
        answer.Body["diagnostics"] = RunJson.Diagnostics(call.Runs.Check(daemon));
        return answer;
    }

    private static Dictionary<string, string> Location(RunId run) => new() { ["Location"] = $"{Path}/{run}" };
}

/// <summary>Addresses of further pages.</summary>
internal static class Pages
{
    /// <summary>The same query, going on after what was shown last.</summary>
    public static string Next(string path, ApiQuery query, string after) =>
        path + "?" + string.Join('&', query.Values.Where(p => p.Key != "after").Append(new("after", after)).Select(p => $"{p.Key}={Uri.EscapeDataString(p.Value)}"));
}
