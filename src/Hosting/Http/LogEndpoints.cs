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
        var shown = after;
        if (to > after)
        {
            await foreach (var recorded in store.FetchAll(call.Tenant, after, (int)(to - after), cancellation))
            {
                if (!filter.Fits(recorded)) { continue; }
                events.Add((JsonNode)RunJson.Event(recorded, store.EventTypes));
                if (events.Count == limit)
                {
                    shown = recorded.Position;
                    break;
                }
            }
        }

        // Positions in between belong to others, or do not fit: who goes on need not look at them again.
        if (events.Count < limit) { shown = Math.Max(after, to); }
        var answer = new JsonObject { ["events"] = events, ["position"] = shown };
        if (shown < last) { answer["next"] = Pages.Next(TenantEvents, query, Text(shown)); }
        return ApiAnswer.Ok(answer);
    }

    /// <summary>A run's events, oldest first.</summary>
    public static async Task<ApiAnswer> ReadRun(ApiCall call, CancellationToken cancellation)
    {
        var query = call.Query.Only("limit", "after", "type");
        var filter = EventFilter.Of(query);
        var (page, run) = await OfRun(call, filter, cancellation);
        return ApiAnswer.Ok(Page("events", page.Select(recorded => (JsonNode)RunJson.Event(recorded, call.Node.Store.EventTypes)), page, Limit(query), $"/v1/runs/{run}/events", query));
    }

    /// <summary>What a run did, sentence by sentence.</summary>
    public static async Task<ApiAnswer> ReadTrail(ApiCall call, CancellationToken cancellation)
    {
        var query = call.Query.Only("limit", "after");
        var (page, run) = await OfRun(call, default, cancellation);
        var entries = page.Select(recorded => (JsonNode)RunJson.Entry((AuditEntry)AuditTrail.Projection.Evolve(null, recorded.Id.ToString(), recorded)!));
        return ApiAnswer.Ok(Page("entries", entries, page, Limit(query), $"/v1/runs/{run}/audit", query));
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

    private static async Task<(IReadOnlyList<RecordedEvent> Page, RunId Run)> OfRun(ApiCall call, EventFilter filter, CancellationToken cancellation)
    {
        var run = RunId.From(call.Id("run"));
        var after = call.Query.Number("after", 0, long.MaxValue - 1) ?? 0;
        var limit = Limit(call.Query);
        await call.Runs.Get(call.Tenant, run, cancellation);
        var page = new List<RecordedEvent>();
        await foreach (var recorded in call.Node.Store.Fetch(call.Tenant, run.Value, after + 1, cancellation: cancellation))
        {
            if (!filter.Fits(recorded)) { continue; }
            page.Add(recorded);
            if (page.Count > limit) { break; }
        }

        return (page, run);
    }

    /// <summary>One more than the limit was read where there is more.</summary>
    private static JsonObject Page(string name, IEnumerable<JsonNode> items, IReadOnlyList<RecordedEvent> page, int limit, string path, ApiQuery query)
    {
        var answer = new JsonObject { [name] = new JsonArray([.. items.Take(limit)]) };
        if (page.Count > limit) { answer["next"] = Pages.Next(path, query, Text(page[limit - 1].Version)); }
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
