using System.Text.Json;
using System.Text.Json.Nodes;
using Platform.EventStore.Projections;
using Platform.EventStore.Sealing;
using Platform.Hosting;
using Platform.Messaging;

namespace Platform.CloudFunctions;

/// <summary>
/// The custom handler's contract: a function's name is a POST route; the host's envelope comes in, outputs go out. Queue messages are hints of the form
/// <c>{"tenant": ..., "id": ...}</c>: what is executed is the row in Postgres, whatever the trigger's metadata says.
/// </summary>
internal sealed class Triggers(Instance instance)
{
    /// <summary>Below host.json's functionTimeout: the host kills the whole process when an invocation passes that.</summary>
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(9.5);

    /// <summary>Hints that one timer invocation emits; the next one finds the rest.</summary>
    private const int MaxRecovered = 200;

    /// <summary>How long a timer invocation seals and projects.</summary>
    private static readonly TimeSpan Tidying = TimeSpan.FromSeconds(20);

    public void Map(WebApplication app)
    {
        app.MapGet("/", static context => Answer(context, 200, new JsonObject()));
        app.MapPost("/StartRun", context => Guarded(context, StartRun));
        app.MapPost("/ExecuteMessage", context => Guarded(context, ExecuteMessage));
        app.MapPost("/RecoverLeases", context => Guarded(context, RecoverLeases));
        app.MapGet("/runs/{id}", context => Guarded(context, ReadRun));
    }

    private async Task StartRun(HttpContext context, CancellationToken cancellation)
    {
        var request = (await Body(context, cancellation))["Data"]?["req"] as JsonObject ?? throw Malformed("Data.req");
        JsonObject answer;
        var messages = new JsonArray();
        try
        {
            var body = Parse(request["Body"]) ?? throw Malformed("the request's body");
            var node = await instance.Node(cancellation);
            JsonElement? inputs = body["inputs"] is { } given ? JsonSerializer.SerializeToElement(given, TriggersJson.Default.JsonNode) : null;
            var approvals = (body["approvals"] as JsonArray)?.Select(a => (string?)a ?? "").ToArray();
            var started = await new Runs(node).Start(TenantId.Default, (string?)body["daemon"] ?? throw Malformed("daemon"), inputs, null, "http", approvals, Header(request, "Idempotency-Key"), cancellation);
            foreach (var id in started.Messages) { messages.Add((JsonNode)Hint(TenantId.Default, id)); }
            answer = Response(started.Repeated ? 200 : 201, new JsonObject { ["id"] = started.Run.ToString() }, "application/json");
        }
        catch (ProblemException e)
        {
            answer = Response(e.Problem.Status, Problem(e.Problem), "application/problem+json");
        }

        await Answer(context, 200, Outputs(new JsonObject { ["res"] = answer, ["messages"] = messages }));
    }

    private async Task ReadRun(HttpContext context, CancellationToken cancellation)
    {
        if (!Guid.TryParse((string?)context.Request.RouteValues["id"], out var id)) { throw new ProblemException(new Problem("run.invalid-id", "The run's id is no UUID.", 400)); }
        var node = await instance.Node(cancellation);
        var events = new List<RecordedEvent>();
        await foreach (var recorded in node.Store.Fetch(TenantId.Default, id, cancellation: cancellation)) { events.Add(recorded); }
        if (RunJson.Fold(events) is not ({ } story, { } summary)) { throw new ProblemException(new Problem("run.not-found", $"There is no run {id}.", 404)); }
        await Answer(context, 200, RunJson.Story(story, summary));
    }

    private async Task ExecuteMessage(HttpContext context, CancellationToken cancellation)
    {
        var hint = Parse((await Body(context, cancellation))["Data"]?["message"]) ?? throw Malformed("Data.message");
        if (!TenantId.TryParse((string?)hint["tenant"], out var tenant) || !Guid.TryParse((string?)hint["id"], out var id)) { throw Malformed("tenant and id"); }
        var node = await instance.Node(cancellation);

        // Null: somebody else has it, or it is done. A doubled or late hint is answered with success, and goes away.
        var following = await node.Bus.ExecuteOne(tenant, id, cancellation) ?? [];

        // A retry is named again by its own id; when it is due is for the timer to see.
        await Answer(context, 200, Outputs(new JsonObject { ["messages"] = new JsonArray([.. following.Where(next => next != id).Select(next => (JsonNode)Hint(tenant, next))]) }));
    }

    private async Task RecoverLeases(HttpContext context, CancellationToken cancellation)
    {
        await Body(context, cancellation);
        var node = await instance.Node(cancellation);
        var due = await node.Bus.RecoverDue(MaxRecovered, cancellation);
        await Tidy(node, cancellation);
        await Answer(context, 200, Outputs(new JsonObject { ["messages"] = new JsonArray([.. due.Select(one => (JsonNode)Hint(one.Tenant, one.Id))]) }));
    }

    /// <summary>Seals, projects and signs within this invocation, as far as it comes.</summary>
    private static async Task Tidy(Node node, CancellationToken cancellation)
    {
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        enough.CancelAfter(Tidying);
        await using var sealer = Sealer.Start(node.Store);
        await using var projections = ProjectionRunner.Start(node.Store, Node.Projections);
        try
        {
            var last = await node.Store.CommittedEvents(enough.Token);
            await node.Store.WaitBeyond(last - 1, enough.Token);
            foreach (var projection in Node.Projections) { await projections.WaitFor(projection.Name, last, enough.Token); }
            await node.Sign(enough.Token);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            // The next timer goes on from here.
        }
    }

    private static async Task Guarded(HttpContext context, Func<HttpContext, CancellationToken, Task> invocation)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        deadline.CancelAfter(Deadline);
        try
        {
            await invocation(context, deadline.Token);
        }
        catch (ProblemException e)
        {
            await Answer(context, e.Problem.Status, Problem(e.Problem), "application/problem+json");
        }
        catch (StoreUnavailableException e)
        {
            context.Response.Headers.RetryAfter = "5";
            await Answer(context, 503, Problem(new Problem("store.unavailable", e.Message, 503)), "application/problem+json");
        }
        catch (OperationCanceledException) when (!context.RequestAborted.IsCancellationRequested)
        {
            await Answer(context, 500, Problem(new Problem("invocation.deadline", "The invocation took too long; the message is taken up again.", 500)), "application/problem+json");
        }
        // The process's edge: a fault of one invocation is told to the host, and never takes the others down.
        catch (Exception e) when (e is not OperationCanceledException)
        {
            await Console.Error.WriteLineAsync(e.ToString());
            await Answer(context, 500, Problem(new Problem("internal", "A fault of the platform; its log has the details.", 500)), "application/problem+json");
        }
    }

    private static async Task<JsonObject> Body(HttpContext context, CancellationToken cancellation)
    {
        try
        {
            return await JsonNode.ParseAsync(context.Request.Body, documentOptions: new JsonDocumentOptions { MaxDepth = 64 }, cancellationToken: cancellation) as JsonObject ?? throw Malformed("the body");
        }
        catch (JsonException)
        {
            throw Malformed("the body");
        }
    }

    /// <summary>The host hands a JSON text over as an object or as a string, as it pleases.</summary>
    private static JsonObject? Parse(JsonNode? value)
    {
        try
        {
            return value is JsonValue text && text.GetValueKind() == JsonValueKind.String ? JsonNode.Parse((string)text!) as JsonObject : value as JsonObject;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static string? Header(JsonObject request, string name)
    {
        var found = (request["Headers"] as JsonObject)?.FirstOrDefault(header => string.Equals(header.Key, name, StringComparison.OrdinalIgnoreCase)).Value;
        return found is JsonArray { Count: > 0 } values ? (string?)values[0] : found is JsonValue value ? (string?)value : null;
    }

    private static ProblemException Malformed(string what) => new(new Problem("invocation.malformed", $"The invocation lacks {what}, or it has another form.", 400));

    private static string Hint(TenantId tenant, Guid id) => new JsonObject { ["tenant"] = tenant.Value, ["id"] = id.ToString() }.ToJsonString();

    private static JsonObject Outputs(JsonObject outputs) => new() { ["Outputs"] = outputs, ["Logs"] = new JsonArray(), ["ReturnValue"] = null };

    private static JsonObject Response(int status, JsonObject body, string contentType) =>
        new() { ["statusCode"] = status, ["headers"] = new JsonObject { ["Content-Type"] = contentType }, ["body"] = body.ToJsonString() };

    private static JsonObject Problem(Problem problem) =>
        new() { ["type"] = $"https://platform.example/problems/{problem.Code}", ["title"] = problem.Code, ["status"] = problem.Status, ["detail"] = problem.Detail };

    private static async Task Answer(HttpContext context, int status, JsonObject body, string contentType = "application/json")
    {
        if (context.Response.HasStarted) { return; }
        context.Response.StatusCode = status;
        context.Response.ContentType = contentType;
        await context.Response.WriteAsync(body.ToJsonString(), CancellationToken.None);
    }
}

[System.Text.Json.Serialization.JsonSerializable(typeof(JsonNode))]
internal sealed partial class TriggersJson : System.Text.Json.Serialization.JsonSerializerContext;
