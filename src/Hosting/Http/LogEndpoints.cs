using System.Globalization;
using System.Text.Json.Nodes;
using Platform.Domain.Daemons;
using Platform.Messaging;
using Platform.Projections;

namespace Platform.Hosting.Http;

/// <summary>
/// The log over HTTP, in pages. A run's events are counted by their version in its stream, and are there as soon as they are committed; the tenant's by
/// their sealed position, which has no holes, so that who goes on after one has missed nothing. As a stream: <see cref="EventStream"/>.
/// </summary>
public static class LogEndpoints
{
    public const string TenantEvents = "/v1/events";
    public const string RunEvents = "/v1/runs/{run}/events";

    /// <summary>Of one page of events, each of which may have a megabyte.</summary>
    private const int MaxPage = 500;

    private const int DefaultPage = 100;

    /// <summary>Events looked at for one page: a filter that fits few of them ends the page early, and <c>next</c> goes on.</summary>
    private const int MaxLookedAt = 10_000;

    /// <summary>A page of large events ends early, after at least one.</summary>
    private const int MaxPageBytes = 8 * 1024 * 1024;

    /// <summary>An alias is a type's name.</summary>
    private const int MaxTypeLength = 200;

    public static IReadOnlyList<ApiEndpoint> All { get; } =
    [
        new("GET", TenantEvents, ReadTenant),
        new("GET", RunEvents, ReadRun),
        new("GET", "/v1/runs/{run}/audit", ReadTrail),
        new("GET", "/v1/audit", ReadAudit),
    ];

    /// <summary>The tenant's sealed events, oldest first.</summary>
    public static async Task<ApiAnswer> ReadTenant(ApiCall call, CancellationToken cancellation)
    {
        var query = call.Query.Only("limit", "after", "type", "run");
        var (limit, filter) = (Limit(query), EventFilter.Of(query));
        var after = query.Number("after", 0, long.MaxValue) ?? 0;
        var store = call.Node.Store;
        var last = await store.LastPosition(cancellation);
        var to = Math.Min(last, after > last ? last : after + MaxLookedAt);
        var events = new JsonArray();

        // Positions in between belong to others, or do not fit: who goes on need not look at them again.
        var shown = Math.Max(after, to);
        if (to > after)
        {
            var bytes = 0;
            await foreach (var recorded in store.FetchAll(call.Tenant, after, (int)(to - after), cancellation))
            {
                if (!filter.Fits(recorded)) { continue; }
                var shownEvent = RunJson.Event(recorded, store.EventTypes);
                events.Add((JsonNode)shownEvent);
                bytes += HttpJson.Bytes(shownEvent).Length;
                if (events.Count == limit || bytes > MaxPageBytes)
                {
                    shown = recorded.Position;
                    break;
                }
            }
        }

        var answer = new JsonObject { ["events"] = events, ["position"] = shown };
        if (shown < last) { answer["next"] = Pages.Next(TenantEvents, query, Text(shown)); }
        return ApiAnswer.Ok(answer);
    }

    /// <summary>A run's events, oldest first.</summary>
    public static async Task<ApiAnswer> ReadRun(ApiCall call, CancellationToken cancellation)
    {
        var filter = EventFilter.Of(call.Query.Only("limit", "after", "type"));
        return ApiAnswer.Ok(await OfRun(call, filter, "events", "events", recorded => RunJson.Event(recorded, call.Node.Store.EventTypes), cancellation));
    }

    /// <summary>What a run did, sentence by sentence.</summary>
    public static async Task<ApiAnswer> ReadTrail(ApiCall call, CancellationToken cancellation)
    {
        call.Query.Only("limit", "after");
        return ApiAnswer.Ok(await OfRun(call, default, "audit", "entries", recorded => RunJson.Entry(AuditTrail.Entry(recorded)), cancellation));
    }

    /// <summary>Where the tenant's Merkle tree stands, and what was signed of it last. `platform audit verify` holds the events against it.</summary>
    public static async Task<ApiAnswer> ReadAudit(ApiCall call, CancellationToken cancellation)
    {
        call.Query.Only();
        var standing = await call.Node.Checkpoints.Standing(call.Tenant, cancellation);
        return ApiAnswer.Ok(RunJson.Clean(new JsonObject
        {
            ["events"] = standing.Size,
            ["checkpoint"] = standing.Note is null ? null : new JsonObject { ["events"] = standing.SignedSize, ["signedAt"] = RunJson.Time(standing.SignedAt!.Value), ["note"] = standing.Note },
            ["key"] = new JsonObject { ["name"] = call.Node.Key.Name, ["publicKey"] = Convert.ToBase64String(call.Node.Key.PublicKey) },
        }));
    }

    /// <summary>A page of a run's stream, under the name of its items, with the address of the next.</summary>
    private static async Task<JsonObject> OfRun(ApiCall call, EventFilter filter, string path, string name, Func<RecordedEvent, JsonObject> show, CancellationToken cancellation)
    {
        var run = RunId.From(call.Id("run"));
        var after = call.Query.Number("after", 0, long.MaxValue - 1) ?? 0;
        var limit = Limit(call.Query);
        await call.Runs.Get(call.Tenant, run, cancellation);
        var items = new JsonArray();
        var answer = new JsonObject { [name] = items };
        var (bytes, last) = (0, after);
        await foreach (var recorded in call.Node.Store.Fetch(call.Tenant, run.Value, after + 1, cancellation: cancellation))
        {
            if (!filter.Fits(recorded)) { continue; }
            if (items.Count == limit || bytes > MaxPageBytes)
            {
                answer["next"] = Pages.Next($"/v1/runs/{run}/{path}", call.Query, Text(last));
                break;
            }

            var shown = show(recorded);
            items.Add((JsonNode)shown);
            bytes += HttpJson.Bytes(shown).Length;
            last = recorded.Version;
        }

        return answer;
    }

    private static int Limit(ApiQuery query) => (int)(query.Number("limit", 1, MaxPage) ?? DefaultPage);

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);

    /// <summary>Which events are wanted.</summary>
    /// <param name="Type">Alias; null: any.</param>
    /// <param name="Run">Of this run's stream; null: any.</param>
    internal readonly record struct EventFilter(string? Type, Guid? Run)
    {
        /// <exception cref="ProblemException"/>
        public static EventFilter Of(ApiQuery query)
        {
            var type = query.Text("type");
            return type is { Length: > MaxTypeLength } ? throw ApiQuery.Refuse("type", FormattableString.Invariant($"has more than {MaxTypeLength} characters")) : new EventFilter(type, query.Id("run"));
        }

        public bool Fits(RecordedEvent recorded) =>
            (Type is null || recorded.Alias == Type)
            && (Run is not { } run || recorded.StreamId == run);
    }
}
