using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Platform.Messaging;
using Platform.Testing;

namespace Platform.EventStore.Tests;

public sealed record Counted(int By);

public sealed record Labelled(string Label);

/// <summary>Version 2: version 1 had one text "First Last".</summary>
public sealed record Named(string First, string Last);

public sealed record Counter(int Total, string? Label = null, string? Name = null)
{
    public static readonly StateFold<Counter> Fold = new("counter", (state, fact) => fact switch
    {
        Counted counted => (state ?? new Counter(0)) with { Total = (state?.Total ?? 0) + counted.By },
        Labelled labelled => (state ?? new Counter(0)) with { Label = labelled.Label },
        Named named => (state ?? new Counter(0)) with { Name = $"{named.Last}, {named.First}" },
        _ => state,
    });

    /// <summary>Another state of the same stream.</summary>
    public static readonly StateFold<Steps> Count = new("counter", (state, _) => new Steps((state?.Number ?? 0) + 1));
}

public sealed record Steps(int Number);

[JsonSerializable(typeof(Counted))]
[JsonSerializable(typeof(Labelled))]
[JsonSerializable(typeof(Named))]
[JsonSerializable(typeof(JsonObject))]
internal sealed partial class CounterJson : JsonSerializerContext;

/// <summary>A store on a database of its own.</summary>
internal sealed class Rig : IAsyncDisposable
{
    private readonly List<Store> stores = [];

    public static readonly EventTypes Types = new(
        [
            new EventType("counted", 1, typeof(Counted), static () => CounterJson.Default.Counted),
            new EventType("labelled", 1, typeof(Labelled), static () => CounterJson.Default.Labelled),
            new EventType("named", 2, typeof(Named), static () => CounterJson.Default.Named),
        ],
        [
            new Upcaster("named", 1, old =>
            {
                var parts = old.GetProperty("Name").GetString()!.Split(' ');
                return JsonDocument.Parse(new JsonObject { ["First"] = parts[0], ["Last"] = parts[1] }.ToJsonString()).RootElement;
            }),
        ]);

    public static readonly DateTimeOffset Noon = new(2026, 1, 2, 12, 0, 0, TimeSpan.Zero);

    public static TenantId Tenant { get; } = TenantId.Default;

    public required TestDatabase Database { get; init; }

    public required Store Store { get; init; }

    public Npgsql.NpgsqlDataSource Source => Store.Source;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public static async Task<Rig> Start(Func<StoreOptions, StoreOptions>? with = null)
    {
        var database = await TestDatabase.Create(Cancellation);
        var rig = new Rig { Database = database, Store = await Open(database, with) };
        rig.stores.Add(rig.Store);
        return rig;
    }

    public async Task<Store> Another(Func<StoreOptions, StoreOptions>? with = null)
    {
        var store = await Open(Database, with);
        stores.Add(store);
        return store;
    }

    public static DecideRequest<Counter> Request(Guid stream, Func<Counter?, long, Decision> decide) => new(Tenant, stream, Counter.Fold, decide, Noon, EventMetadata.None);

    public static DecideRequest<Counter> Request(Guid stream, params object[] events) => Request(stream, (_, _) => new Decision(events, []));

    public static Commit Commit(params StreamAppend[] streams) => new() { Tenant = Tenant, Timestamp = Noon, Streams = streams };

    public static Commit Commit(Guid stream, ExpectedVersion expected, params object[] events) => Commit(new StreamAppend(stream, "counter", expected, events));

    public async Task<List<RecordedEvent>> Fetch(Guid stream, long from = 1, long? to = null, DateTimeOffset? until = null)
    {
        var events = new List<RecordedEvent>();
        await foreach (var recorded in Store.Fetch(Tenant, stream, from, to, until, Cancellation)) { events.Add(recorded); }
        return events;
    }

    /// <summary>What must hold whatever happened: versions without holes, streams at their last version, no sequence number burned.</summary>
    public async Task AssertSound(bool gapless = true)
    {
        Assert.Equal(0, await Sql.Value<long>(Source, """
            select count(*) from (select s.version, count(e.seq_id) as events, coalesce(max(e.version), 0) as last from mt_streams s
            left join mt_events e on e.tenant_id = s.tenant_id and e.stream_id = s.id group by s.tenant_id, s.id, s.version) as x where version <> events or version <> last
            """));
        Assert.Equal(0, await Sql.Value<long>(Source, "select count(*) from (select seq_id < lag(seq_id) over (partition by tenant_id, stream_id order by version) as back from mt_events) x where back"));
        Assert.Equal(0, await Sql.Value<long>(Source, "select count(*) - count(distinct id) from mt_events"));
        Assert.Equal(await Sql.Value<long>(Source, "select count(*) from mt_events"), await Sql.Value<long>(Source, "select coalesce(sum(cardinality(seqs)), 0)::bigint from pl_pending"));
        if (gapless) { Assert.Equal(await Sql.Value<long>(Source, "select count(*) from mt_events"), await Sql.Value<long>(Source, "select coalesce(max(seq_id), 0) from mt_events")); }
    }

    /// <summary>Looks until it is so.</summary>
    public static async Task Until(Func<Task<bool>> holds)
    {
        for (var looks = 0; !await holds(); looks++)
        {
            Assert.True(looks < 3_000, "It did not happen within 30 s.");
            await Task.Delay(10, Cancellation);
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var store in stores) { await store.DisposeAsync(); }
        await Database.DisposeAsync();
    }

    private static Task<Store> Open(TestDatabase database, Func<StoreOptions, StoreOptions>? with)
    {
        var options = new StoreOptions { ConnectionString = database.ConnectionString, EventTypes = Types };
        return Store.Open(with is null ? options : with(options), Cancellation);
    }
}
