using System.Text.Json.Nodes;
using Platform.Domain.Capabilities;
using Platform.Domain.Capabilities.Undoing;
using Platform.Domain.Daemons;

namespace Platform.Hosting.Http;

/// <summary>Undoing over HTTP: look at the plan, then ask for it.</summary>
public static class UndoEndpoints
{
    private const string Path = "/v1/undos";
    private const int MaxTextLength = 500;

    private static readonly string[] Members = ["run", "stage", "effect", "since", "user", "undo", "cascade", "others", "compensations"];

    public static IReadOnlyList<ApiEndpoint> All { get; } =
    [
        new("POST", Path + "/plan", Plan),
        new("POST", Path, Request, Waits: true),
        new("GET", Path + "/{undo}", Read, Waits: true),
    ];

    /// <summary>What an undo would do. Nothing is done.</summary>
    public static async Task<ApiAnswer> Plan(ApiCall call, CancellationToken cancellation)
    {
        call.Query.Only();
        var plan = await call.Runs.PlanUndo(call.Tenant, Selection(RequestBody.Read(call.Body, Members)), cancellation, call.Caller);
        return ApiAnswer.Ok(new JsonObject { ["hash"] = plan.Hash, ["partial"] = plan.IsPartial, ["lines"] = RunJson.Plan(plan) });
    }

    /// <summary>Begins an undo, planned anew as the world stands then: 202. With the hash of a plan that was shown: only if it is still that one.</summary>
    public static async Task<ApiAnswer> Request(ApiCall call, CancellationToken cancellation)
    {
        call.Query.Only("wait");
        var body = RequestBody.Read(call.Body, [.. Members, "planHash"]);
        var (undo, messages) = await call.Runs.Undo(call.Tenant, Selection(body), call.Caller, call.Key(), cancellation, body.Text("planHash", MaxTextLength));
        await RunEndpoints.Ended(call, undo.Value, cancellation);
        return new ApiAnswer(202, await call.Runs.ReadUndo(call.Tenant, undo, cancellation)) { Headers = new Dictionary<string, string> { ["Location"] = $"{Path}/{undo}" }, Messages = messages };
    }

    /// <summary>An undo with what came of each line so far.</summary>
    public static async Task<ApiAnswer> Read(ApiCall call, CancellationToken cancellation)
    {
        call.Query.Only("wait");
        var undo = UndoId.From(call.Id("undo"));
        if (call.Wait > TimeSpan.Zero)
        {
            await call.Runs.ReadUndo(call.Tenant, undo, cancellation);
            await RunEndpoints.Ended(call, undo.Value, cancellation);
        }

        return ApiAnswer.Ok(await call.Runs.ReadUndo(call.Tenant, undo, cancellation));
    }

    private static UndoSelection Selection(RequestBody body) => new()
    {
        Run = body.Id("run") is { } run ? RunId.From(run) : null,
        Stage = body.Text("stage", MaxTextLength),
        Effect = body.Id("effect") is { } effect ? EffectId.From(effect) : null,
        Since = body.Moment("since"),
        User = body.Text("user", MaxTextLength),
        Undo = body.Id("undo") is { } undo ? UndoId.From(undo) : null,
        Cascade = body.Flag("cascade"),
        Others = body.Flag("others"),
        Compensations = body.Count("compensations"),
    };
}
