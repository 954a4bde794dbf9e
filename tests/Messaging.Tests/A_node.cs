using System.Collections.Concurrent;
using Platform.Testing;
using Platform.Tests.Counting;

namespace Platform.Messaging.Tests;

public sealed class A_node : Rig
{
    private readonly InMemoryStore store = new(Handlers.Table.EventTypes());

    private Task<Bus> Node(Func<Step, CancellationToken, Task<int>> roll, TimeProvider? time = null, Func<BusOptions, BusOptions>? with = null) => Node(store, store, roll, time: time, with: with);

    private async Task<int> Total(CounterId? id = null) => (await Counter(store, id ?? Id))?.Total ?? 0;

    [Fact]
    public async Task handles_messages_of_one_key_in_their_order()
    {
        var seen = new ConcurrentQueue<int>();
        var running = 0;
        var bus = await Node(async (step, _) =>
        {
            Assert.Equal(1, Interlocked.Increment(ref running));
            seen.Enqueue(step.Left);
            await Task.Yield();
            Interlocked.Decrement(ref running);
            return 1;
        });
        await Ask(bus, new Burst(Id, 50));
        await Until(async () => await Total() == 50);
        Assert.Equal(Enumerable.Range(0, 50), seen);
    }

    [Fact]
    public async Task handles_so_many_of_a_queue_at_once_and_no_more()
    {
        var (running, most) = (0, 0);
        var go = new TaskCompletionSource();
        var bus = await Node(async (_, _) =>
        {
            most = Math.Max(most, Interlocked.Increment(ref running));
            await go.Task;
            Interlocked.Decrement(ref running);
            return 1;
        });
        for (var i = 0; i < 6; i++) { await Ask(bus, new Burst(new CounterId(Guid.NewGuid()), 1)); }
        await Until(() => Volatile.Read(ref running) == 2);
        go.SetResult();
        await Until(() => store.Pending.Count == 0);
        Assert.Equal(2, most);
    }

    [Fact]
    public async Task lets_a_message_in_back_off_hold_its_key_and_no_place()
    {
        var time = new FakeTime();
        var failing = new ConcurrentDictionary<Guid, bool>();
        var seen = new ConcurrentQueue<(Guid, int)>();
        var bus = await Node(
            (step, _) =>
            {
                seen.Enqueue((step.CounterId.Value, step.Left));
                return failing.ContainsKey(step.CounterId.Value) ? throw new TimeoutException() : Task.FromResult(1);
            },
            time);
        CounterId[] bad = [new(Guid.NewGuid()), new(Guid.NewGuid()), new(Guid.NewGuid())];
        foreach (var id in bad)
        {
            failing[id.Value] = true;
            await Ask(bus, new Burst(id, 2));
        }

        await Until(() => time.Armed == 3);
        await Ask(bus, new Burst(Id, 1));
        await Until(async () => await Total() == 1);
        Assert.Equal(4, seen.Count);
        Assert.DoesNotContain(seen, s => s.Item2 == 1);

        failing.Clear();
        time.Advance(TimeSpan.FromSeconds(1));
        foreach (var id in bad) { await Until(async () => await Total(id) == 2); }
    }

    [Fact]
    public async Task measures_a_duration_by_a_clock_that_nobody_sets()
    {
        var time = new FakeTime();
        var bus = await Node(One, time);
        await Ask(bus, new OpenCounter(Id, 1, TimeSpan.FromHours(1)));
        time.SetWall(TimeSpan.FromHours(5));
        time.Advance(TimeSpan.FromMinutes(59));
        Assert.Equal((1, 0), (bus.InMemory, await Total()));
        time.SetWall(TimeSpan.FromHours(-10));
        time.Advance(TimeSpan.FromMinutes(1));
        await Until(async () => await Total() == 1);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(-2)]
    public async Task follows_the_wall_clock_for_a_moment_of_it(int stepHours)
    {
        var time = new FakeTime();
        var bus = await Node(One, time);
        await Ask(bus, new Appoint(Id, time.GetUtcNow().AddHours(1)));
        time.SetWall(TimeSpan.FromHours(stepHours));
        if (stepHours < 0)
        {
            time.Advance(TimeSpan.FromHours(2.9));
            Assert.Equal((1, 0), (bus.InMemory, await Total()));
            time.Advance(TimeSpan.FromHours(0.1));
        }
        else { time.Advance(TimeSpan.FromSeconds(30)); }

        await Until(async () => await Total() == 1);
    }

    [Fact]
    public async Task takes_no_more_into_memory_than_it_may()
    {
        var edge = Quiet(store, store, One);
        var ids = Enumerable.Range(0, 10).Select(_ => new CounterId(Guid.NewGuid())).ToArray();
        foreach (var id in ids) { await Ask(edge, new OpenCounter(id, 1)); }
        var go = new TaskCompletionSource();
        var (begun, most) = (0, 0);
        Bus? bus = null;
        bus = await Node(
            async (_, _) =>
            {
                Interlocked.Increment(ref begun);
                await go.Task;
                most = Math.Max(most, bus!.InMemory);
                return 1;
            },
            with: o => o with { MaxInMemory = 3 });
        await Until(() => Volatile.Read(ref begun) == 3);
        Assert.Equal((3, 10), (bus.InMemory, store.Pending.Count));

        // There is no room for what a command leads to either: it waits in the table.
        await Ask(bus, new OpenCounter(Id, 1));
        Assert.Equal((3, 11), (bus.InMemory, store.Pending.Count));
        go.SetResult();
        await Until(() => store.Pending.Count == 0);
        Assert.Equal(3, most);
    }

    [Fact]
    public async Task asks_the_world_again_when_a_decision_interrupts_it()
    {
        var begun = new TaskCompletionSource();
        var calls = 0;
        var bus = await Node(async (_, cancellation) =>
        {
            if (Interlocked.Increment(ref calls) > 1) { return 5; }
            begun.SetResult();
            await Task.Delay(Timeout.Infinite, cancellation);
            return 1;
        });
        await Ask(bus, new OpenCounter(Id, 1));
        await begun.Task;
        await Ask(bus, new Halt(Id));
        await Until(async () => await Total() == 5);
    }

    [Fact]
    public async Task gives_up_a_message_that_kills_its_process()
    {
        var begun = 0;
        var bus = await Node((_, _) => { Interlocked.Increment(ref begun); throw new SimulatedCrashException(); });
        await Ask(bus, new OpenCounter(Id, 1));
        await Until(async () => (await store.DeadLetters(null, 10, Cancellation)).Count == 1);
        Assert.Equal("TooManyAttempts", Assert.Single(await store.DeadLetters(null, 10, Cancellation)).ErrorType);

        // Once before anybody counted, and as often as the message may be tried.
        Assert.Equal(4, begun);
    }

    [Fact]
    public async Task ends_its_drain_and_gives_back_what_a_deaf_handler_holds()
    {
        var (begun, late) = (new TaskCompletionSource(), new TaskCompletionSource());
        var bus = await Node(async (_, _) =>
        {
            begun.TrySetResult();
            await late.Task;
            return 100;
        });
        await Ask(bus, new Burst(Id, 3));
        await begun.Task;
        await bus.Drain(TimeSpan.FromMilliseconds(1)).WaitAsync(Patience, Cancellation);
        Assert.Equal(3, store.Pending.Count);
        await Node(store, store, One, "other");
        await Until(async () => await Total() == 3);
        late.SetResult();
        await Until(() => store.Pending.Count == 0);
        Assert.Equal(3, await Total());
    }

    [Fact]
    public async Task keeps_what_it_does_while_the_store_is_away_for_one_commit()
    {
        var (begun, go) = (new TaskCompletionSource<CancellationToken>(), new TaskCompletionSource());
        var bus = await Node(async (step, cancellation) =>
        {
            if (step.CounterId != Id) { return 1; }
            begun.SetResult(cancellation);
            await go.Task;
            return 1;
        });
        await Ask(bus, new OpenCounter(Id, 1));
        var token = await begun.Task;
        var other = new CounterId(Guid.NewGuid());
        var commits = 0;
        store.Fault = () => Interlocked.Increment(ref commits) switch { 2 => CommitFault.AwayBefore, 4 => CommitFault.AwayAfter, _ => CommitFault.None };
        await Ask(bus, new OpenCounter(other, 4));
        await Until(async () => await Total(other) == 4);
        Assert.False(token.IsCancellationRequested);
        go.SetResult();
        await Until(() => store.Pending.Count == 0);
        Assert.Equal(1, await Total());
        await Until(() => bus.InMemory == 0);
    }
}
