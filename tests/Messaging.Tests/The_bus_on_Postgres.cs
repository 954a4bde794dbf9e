using System.Collections.Concurrent;
using Platform.EventStore;
using Platform.EventStore.Sealing;
using Platform.EventStore.Subscriptions;
using Platform.Tests.Counting;

namespace Platform.Messaging.Tests;

public sealed class The_bus_on_Postgres : Rig
{
    private PostgresStore store = null!;

    private async Task Open() => store = await PostgresStore.Open();

    private Task<long> Rows() => store.Value<long>("select count(*) from pl_messages");

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        if (store is not null) { await store.DisposeAsync(); }
    }

    [Fact]
    public async Task runs_a_command_and_everything_that_follows_from_it()
    {
        await Open();
        var bus = await Node(store.Streams, store.Messages, One);
        var answer = await Ask(bus, new OpenCounter(Id, 5), "a");
        Assert.Equal((Id.Value, 1, false), (answer.StreamId, answer.Version, answer.Repeated));
        await Until(async () => (await Counter(store.Streams, Id))?.Total == 5);
        await Until(async () => await Rows() == 0 && bus.InMemory == 0);

        var again = await Ask(bus, new OpenCounter(Id, 5), "a");
        Assert.Equal((Id.Value, 1, true), (again.StreamId, again.Version, again.Repeated));
        Assert.Equal((Id.Value, 1), (await bus.Find(TenantId.Default, "a", Cancellation)) is { } found ? (found.StreamId, found.Version) : default);
        Assert.Equal(409, (await Assert.ThrowsAsync<ProblemException>(() => Ask(bus, new OpenCounter(Id, 1), "a"))).Problem.Status);
    }

    [Fact]
    public async Task answers_a_repeated_command_from_the_record_where_it_would_be_refused_now()
    {
        await Open();
        var bus = Quiet(store.Streams, store.Messages, One);
        await Ask(bus, new OpenCounter(Id, 0));
        for (var i = 0; i < 3; i++) { await Ask(bus, new AddOne(Id), $"{i}"); }
        Assert.Equal("counter.full", (await Assert.ThrowsAsync<ProblemException>(() => Ask(bus, new AddOne(Id), "new"))).Problem.Code);
        var again = await Ask(bus, new AddOne(Id), "1");
        Assert.Equal((3, true), (again.Version, again.Repeated));
        Assert.Equal("command.conflict", (await Assert.ThrowsAsync<ProblemException>(() => Ask(bus, new AddOne(new CounterId(Guid.NewGuid())), "1"))).Problem.Code);
    }

    [Fact]
    public async Task hears_events_by_a_subscription_and_what_follows_happens_once()
    {
        await Open();
        var log = (Store)store.Streams;
        var bus = await Node(store.Streams, store.Messages, One);
        await using var sealer = Sealer.Start(log);
        await using var subscriptions = SubscriptionRunner.Start(log, [new Subscription("handlers", bus.React)]);
        var (successor, other) = (CounterClosedHandler.Successor(Id), new CounterId(Guid.NewGuid()));
        await Ask(bus, new OpenCounter(Id, 0));
        await Ask(bus, new CloseCounter(Id));
        await Ask(bus, new HandOn(Id, other));
        await Until(async () => await Counter(store.Streams, successor) is not null && (await Counter(store.Streams, other))?.Total == 1);
        await Until(async () => await Rows() == 0 && bus.InMemory == 0);

        // All of it once more, as after a crash before the position was written.
        var control = new SubscriptionControl(log);
        var last = await store.Value<long>("select count(*) from mt_events");
        Assert.True(await control.Reset("handlers", 0, Cancellation));
        await Until(async () => (await control.Status(Cancellation)) is [{ Lag: 0, Parked: 0 } status] && status.Position == last && await Rows() == 0 && bus.InMemory == 0);
        Assert.Equal((1, 1), ((await Counter(store.Streams, other))!.Total, (await Counter(store.Streams, successor)) is not null ? 1 : 0));
        Assert.Equal(last, await store.Value<long>("select count(*) from mt_events"));
    }

    [Fact]
    public async Task tries_again_and_then_buries_with_the_error()
    {
        await Open();
        var attempts = 0;
        var broken = true;
        var bus = await Node(store.Streams, store.Messages, (_, _) =>
        {
            Interlocked.Increment(ref attempts);
            return Volatile.Read(ref broken) ? throw new TimeoutException("no dice\0") : Task.FromResult(7);
        });
        await Ask(bus, new OpenCounter(Id, 1));
        await Until(async () => (await store.Messages.DeadLetters(null, 10, Cancellation)).Count == 1);
        var dead = Assert.Single(await store.Messages.DeadLetters(TenantId.Default, 10, Cancellation));
        Assert.Equal((3, "TimeoutException"), (attempts, dead.ErrorType));
        Volatile.Write(ref broken, false);
        Assert.True(await store.Messages.Requeue(TenantId.Default, dead.Envelope.Id, Cancellation));
        await Until(async () => (await Counter(store.Streams, Id))?.Total == 7);
    }

    [Fact]
    public async Task takes_over_from_a_node_whose_connection_is_cut_and_refuses_its_late_commit()
    {
        await Open();
        var (streams, messages) = await store.Another();
        var (begun, late) = (new TaskCompletionSource(), new TaskCompletionSource());
        var doomed = await Node(store.Streams, store.Messages, async (_, _) =>
        {
            begun.TrySetResult();
            await late.Task;
            return 100;
        }, "doomed");
        await Ask(doomed, new OpenCounter(Id, 1));
        await begun.Task.WaitAsync(Patience, Cancellation);
        await Node(streams, messages, One, "heir");
        await store.Kill(null!, "doomed");
        await Until(async () => (await Counter(streams, Id))?.Total == 1);
        late.SetResult();
        await Until(async () => await Rows() == 0);
        await doomed.DisposeAsync();
        Assert.Equal(1, (await Counter(streams, Id))!.Total);
    }

    [Fact]
    public async Task shares_work_with_another_node_and_never_runs_a_message_twice_at_a_time()
    {
        await Open();
        var (streams, messages) = await store.Another();
        var running = new ConcurrentDictionary<(Guid, int), string>();
        var by = new ConcurrentDictionary<string, int>();
        var twice = 0;
        Func<Step, CancellationToken, Task<int>> Roll(string name) => async (step, cancellation) =>
        {
            if (!running.TryAdd((step.CounterId.Value, step.Left), name)) { Interlocked.Increment(ref twice); }
            by.AddOrUpdate(name, 1, (_, n) => n + 1);
            await Task.Yield();
            running.TryRemove((step.CounterId.Value, step.Left), out _);
            return 1;
        };

        // Everything waits before the first node is there.
        var ids = Enumerable.Range(0, 60).Select(_ => new CounterId(Guid.NewGuid())).ToArray();
        var edge = Quiet(store.Streams, store.Messages, One);
        foreach (var id in ids) { await Ask(edge, new OpenCounter(id, 2)); }
        static BusOptions Few(BusOptions options) => options with { ClaimAtOnce = 2, MaxInMemory = 4 };
        await Node(store.Streams, store.Messages, Roll("a"), "a", with: Few);
        await Node(streams, messages, Roll("b"), "b", with: Few);
        await Until(async () => await Rows() == 0);
        foreach (var id in ids) { Assert.Equal(2, (await Counter(store.Streams, id))!.Total); }
        Assert.Equal(0, twice);
        Assert.Equal(120, by.Values.Sum());
        Assert.Equal(2, by.Count);
    }

    [Fact]
    public async Task interrupts_a_handler_in_flight_on_another_node()
    {
        await Open();
        var (streams, messages) = await store.Another();
        var begun = new TaskCompletionSource();
        var calls = 0;
        await Node(streams, messages, async (_, cancellation) =>
        {
            if (Interlocked.Increment(ref calls) > 1) { return 5; }
            begun.TrySetResult();
            await Task.Delay(Timeout.Infinite, cancellation);
            return 1;
        }, "worker");
        await ((Store)streams).Listener.Start();
        var edge = Quiet(store.Streams, store.Messages, One);
        await Ask(edge, new OpenCounter(Id, 1));
        await begun.Task.WaitAsync(Patience, Cancellation);
        await edge.Interrupt(new TenantId("acme"), Id.Value, Cancellation);
        await Ask(edge, new Halt(Id));
        await Until(async () => (await Counter(streams, Id))?.Total == 5);
        Assert.Equal(2, calls);
    }

    [Fact]
    public async Task names_due_messages_to_a_host_without_background_work()
    {
        await Open();
        var edge = Quiet(store.Streams, store.Messages, One);
        var now = (await Ask(edge, new OpenCounter(Id, 1))).Messages;
        await Ask(edge, new OpenCounter(new CounterId(Guid.NewGuid()), 1, TimeSpan.FromHours(1)));
        var due = Assert.Single(await edge.RecoverDue(10, Cancellation));
        Assert.Equal(new MessageRef(TenantId.Default, Assert.Single(now)), due);
        Assert.Equal(due, Assert.Single(await edge.RecoverDue(10, Cancellation)));
        Assert.Empty((await edge.ExecuteOne(due.Tenant, due.Id, Cancellation))!);
        Assert.Empty(await edge.RecoverDue(10, Cancellation));
        Assert.Equal(1, (await Counter(store.Streams, Id))!.Total);
    }

    [Fact]
    public async Task goes_on_with_what_it_has_when_the_commits_connections_are_cut()
    {
        await Open();
        var bus = await Node(store.Streams, store.Messages, One);
        var ids = Enumerable.Range(0, 20).Select(_ => new CounterId(Guid.NewGuid())).ToArray();
        foreach (var id in ids) { await Ask(bus, new OpenCounter(id, 5)); }
        await store.Value<long>("select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() and application_name not like 'platform node%' and pid <> pg_backend_pid()");
        await Until(async () => await Rows() == 0);
        foreach (var id in ids) { Assert.Equal(5, (await Counter(store.Streams, id))!.Total); }
    }
}
