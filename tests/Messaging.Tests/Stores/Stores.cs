using Platform.EventStore;
using Platform.EventStore.Sealing;
using Platform.Testing;

namespace Platform.Messaging.Tests;

public sealed class The_store_in_memory : Store_contract
{
    protected override Task<StoreUnderTest> Open() => Task.FromResult<StoreUnderTest>(new InMemory());

    private sealed class InMemory : StoreUnderTest
    {
        private readonly InMemoryStore store = new(Handlers.Table.EventTypes());

        public override IEventStreams Streams => store;

        public override IMessageStore Messages => store;

        public override Task<(IEventStreams Streams, IMessageStore Messages)> Another() => Task.FromResult<(IEventStreams, IMessageStore)>((store, store));

        public override Task Kill(INodeMembership member, string name)
        {
            store.Kill(member.Owner);
            return Task.CompletedTask;
        }

        public override Task Seal() => Task.CompletedTask;

        public override ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}

public sealed class The_store_on_Postgres : Store_contract
{
    protected override async Task<StoreUnderTest> Open() => await PostgresStore.Open();
}

/// <summary>The real store on a database of its own.</summary>
public sealed class PostgresStore : StoreUnderTest
{
    private readonly TestDatabase database;
    private readonly List<Store> stores = [];

    private PostgresStore(TestDatabase database, Store store)
    {
        (this.database, Store) = (database, store);
        stores.Add(store);
        Messages = new MessageStore(store);
    }

    public Store Store { get; }

    public override IEventStreams Streams => Store;

    public override IMessageStore Messages { get; }

    public static async Task<PostgresStore> Open()
    {
        var database = await TestDatabase.Create(TestContext.Current.CancellationToken);
        return new PostgresStore(database, await Connect(database));
    }

    public override async Task<(IEventStreams Streams, IMessageStore Messages)> Another()
    {
        var store = await Connect(database);
        stores.Add(store);
        return (store, new MessageStore(store));
    }

    public override async Task Kill(INodeMembership member, string name) =>
        Assert.Equal(1, await Value<long>($"select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() and application_name = 'platform node {name}'"));

    public override async Task Seal()
    {
        var events = await Value<long>("select count(*) from mt_events");
        await using var sealer = Sealer.Start(Store);
        await Store.WaitBeyond(events - 1, TestContext.Current.CancellationToken);
    }

    public async Task<T> Value<T>(string sql)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                await using var command = Store.Source.CreateCommand(sql);
                return (T)(await command.ExecuteScalarAsync(TestContext.Current.CancellationToken))!;
            }
            catch (Npgsql.NpgsqlException) when (attempt < 50)
            {
                // A test that cuts connections leaves cut ones in the pool, for us too.
            }
        }
    }

    public override async ValueTask DisposeAsync()
    {
        foreach (var store in stores) { await store.DisposeAsync(); }
        await database.DisposeAsync();
    }

    private static Task<Store> Connect(TestDatabase database) => Store.Open(
        new StoreOptions { ConnectionString = database.ConnectionString, EventTypes = Handlers.Table.EventTypes() }, TestContext.Current.CancellationToken);
}
