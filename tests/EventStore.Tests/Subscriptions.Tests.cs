using System.Collections.Concurrent;
using Platform.EventStore.Projections;
using Platform.EventStore.Sealing;
using Platform.EventStore.Subscriptions;
using Platform.Messaging;

namespace Platform.EventStore.Tests;

public class A_subscription
{
    private static readonly RetryPolicy Quick = new(3, TimeSpan.FromMilliseconds(1), TimeSpan.FromMilliseconds(5));

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private static Envelope Said(RecordedEvent recorded) => new(DeterministicId.Of(recorded.Id, "said"), recorded.Tenant, "said", null, """{"said":true}"""u8.ToArray(), recorded.Metadata);

    [Fact]
    public async Task says_once_for_every_event_what_follows_even_when_its_owner_dies_again_and_again()
    {
        await using var rig = await Rig.Start();
        var other = await rig.Another();
        await using var sealer = Sealer.Start(rig.Store);
        var subscription = new Subscription("echo", (events, _) => Task.FromResult<IReadOnlyList<Envelope>>([.. events.Select(Said)])) { BatchSize = 7 };
        await using var first = SubscriptionRunner.Start(rig.Store, [subscription]);
        await using var second = SubscriptionRunner.Start(other, [subscription]);
        var streams = Enumerable.Range(0, 10).Select(_ => Guid.NewGuid()).ToArray();
        for (var i = 0; i < 200; i++)
        {
            await rig.Store.Decide(Rig.Request(streams[i % 10], new Counted(1)), Cancellation);
            if (i % 50 == 25) { await Sql.Run(rig.Source, "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted and database = (select oid from pg_database where datname = current_database()) and pid <> pg_backend_pid()"); }
        }

        var control = new SubscriptionControl(rig.Store);
        await Rig.Until(async () => (await control.Status(Cancellation)) is [{ Position: 200, Lag: 0, Parked: 0, Error: null }]);
        Assert.Equal(TimeSpan.Zero, Assert.Single(await control.Status(Cancellation)).Behind);

        // In the order of positions, as the messages' own numbers say.
        var positions = new List<Guid>();
        await foreach (var recorded in rig.Store.FetchAll(null, 0, 1_000, Cancellation)) { positions.Add(Said(recorded).Id); }
        Assert.Equal(positions, await Sql.List<Guid>(rig.Source, "select id from pl_messages order by number"));
    }

    [Fact]
    public async Task parks_what_its_reaction_fails_for_and_goes_on_with_other_streams()
    {
        await using var rig = await Rig.Start();
        await using var sealer = Sealer.Start(rig.Store);
        var healed = false;
        var heard = new ConcurrentQueue<(Guid Stream, int By)>();
        var tried = 0;
        var subscription = new Subscription("picky", (events, _) =>
        {
            if (!Volatile.Read(ref healed) && events.Any(e => ((Counted)e.Data).By >= 13))
            {
                Interlocked.Increment(ref tried);
                throw new InvalidDataException("Not this one.");
            }

            foreach (var recorded in events) { heard.Enqueue((recorded.StreamId, ((Counted)recorded.Data).By)); }
            return Task.FromResult<IReadOnlyList<Envelope>>([]);
        })
        { Retry = Quick, Wants = alias => alias == "counted" };
        var (sick, worse, sound) = (Guid.NewGuid(), Guid.NewGuid(), Guid.NewGuid());
        await rig.Store.Decide(Rig.Request(sick, new Counted(1), new Counted(13), new Counted(2)), Cancellation);
        await rig.Store.Decide(Rig.Request(worse, new Counted(14), new Labelled("not wanted"), new Counted(3)), Cancellation);
        await rig.Store.Decide(Rig.Request(sound, new Counted(5)), Cancellation);
        await using var runner = SubscriptionRunner.Start(rig.Store, [subscription]);
        var control = new SubscriptionControl(rig.Store);
        await Rig.Until(async () => (await control.Status(Cancellation)) is [{ Position: 7, Parked: 4 }]);
        await Rig.Until(async () => (await ParkedEvent.List(rig.Store, "picky", 10, Cancellation)).Count(e => e.Attempts == 3) == 2);
        Assert.Equal([(sick, 1), (sound, 5)], heard.ToArray());
        var parked = await ParkedEvent.List(rig.Store, null, 10, Cancellation);
        Assert.Equal([(2L, true), (3L, false), (4L, true), (6L, false)], parked.Select(e => (e.Position, e.Error == "InvalidDataException: Not this one.")));

        // An event behind another is not discarded for itself; the first is, and what waited behind it goes on.
        Assert.False(await control.Discard("picky", 3, Cancellation));
        Assert.True(await control.Discard("picky", 2, Cancellation));
        await Rig.Until(async () => (await control.Status(Cancellation)) is [{ Parked: 2 }]);
        Assert.Equal([(sick, 1), (sound, 5), (sick, 2)], heard.ToArray());

        Volatile.Write(ref healed, true);
        Assert.False(await control.Retry("nobody", Cancellation));
        Assert.True(await control.Retry("picky", Cancellation));
        await Rig.Until(async () => (await control.Status(Cancellation)) is [{ Parked: 0 }]);
        Assert.Equal([(sick, 1), (sound, 5), (sick, 2), (worse, 14), (worse, 3)], heard.ToArray());
    }

    [Fact]
    public async Task waits_where_it_is_while_the_world_is_away()
    {
        await using var rig = await Rig.Start();
        await using var sealer = Sealer.Start(rig.Store);
        var away = true;
        var heard = new ConcurrentQueue<long>();
        var subscription = new Subscription("outward", (events, _) =>
        {
            if (Volatile.Read(ref away)) { throw new HttpRequestException("Nobody answers."); }
            foreach (var recorded in events) { heard.Enqueue(recorded.Position); }
            return Task.FromResult<IReadOnlyList<Envelope>>([]);
        })
        { Retry = Quick };
        await using var runner = SubscriptionRunner.Start(rig.Store, [subscription]);
        for (var i = 0; i < 5; i++) { await rig.Store.Decide(Rig.Request(Guid.NewGuid(), new Counted(1)), Cancellation); }
        var control = new SubscriptionControl(rig.Store);
        await Rig.Until(async () => (await control.Status(Cancellation)) is [{ Position: 0, Lag: 5, Parked: 0, Error: "HttpRequestException: Nobody answers." }]);
        Assert.True(Assert.Single(await control.Status(Cancellation)).Behind > TimeSpan.Zero);

        Volatile.Write(ref away, false);
        await Rig.Until(async () => (await control.Status(Cancellation)) is [{ Position: 5, Error: null }]);
        Assert.Equal([1, 2, 3, 4, 5], heard);
    }

    [Fact]
    public async Task begins_where_it_was_told_and_goes_where_it_is_reset_to()
    {
        await using var rig = await Rig.Start();
        await using var sealer = Sealer.Start(rig.Store);
        var stream = Guid.NewGuid();
        for (var i = 1; i <= 6; i++) { await rig.Store.Decide(Rig.Request(stream, new Counted(i)), Cancellation); }
        await rig.Store.WaitBeyond(5, Cancellation);
        var heard = new ConcurrentQueue<string>();
        Subscription Named(string name, SubscriptionStart start) => new(name, (events, _) =>
        {
            foreach (var recorded in events) { heard.Enqueue($"{name} {recorded.Position}"); }
            return Task.FromResult<IReadOnlyList<Envelope>>([]);
        })
        { Start = start };
        await using var runner = SubscriptionRunner.Start(rig.Store, [Named("all", SubscriptionStart.Beginning), Named("some", SubscriptionStart.After(4)), Named("new", SubscriptionStart.End)]);
        var control = new SubscriptionControl(rig.Store);
        await Rig.Until(async () => (await control.Status(Cancellation)) is [{ Position: 6 }, { Position: 6 }, { Position: 6 }]);
        await rig.Store.Decide(Rig.Request(stream, new Counted(7)), Cancellation);
        await Rig.Until(() => Task.FromResult(heard.Count >= 11));
        Assert.Equal(["all 1", "all 2", "all 3", "all 4", "all 5", "all 6", "all 7", "new 7", "some 5", "some 6", "some 7"], heard.Order());

        heard.Clear();
        Assert.True(await control.Reset("some", 5, Cancellation));
        await Rig.Until(() => Task.FromResult(heard.Count >= 2));
        Assert.Equal(["some 6", "some 7"], heard);
    }

    [Fact]
    public async Task says_nothing_more_while_too_much_of_what_it_said_waits()
    {
        await using var rig = await Rig.Start();
        await using var sealer = Sealer.Start(rig.Store);
        var subscription = new Subscription("loud", (events, _) => Task.FromResult<IReadOnlyList<Envelope>>([.. events.Select(Said)])) { BatchSize = 5, MaxWaiting = 10 };
        await using var runner = SubscriptionRunner.Start(rig.Store, [subscription]);
        for (var i = 0; i < 30; i++) { await rig.Store.Decide(Rig.Request(Guid.NewGuid(), new Counted(1)), Cancellation); }
        await rig.Store.WaitBeyond(29, Cancellation);
        await Rig.Until(async () => await Sql.Value<long>(rig.Source, "select count(*) from pl_messages") >= 10);
        var most = 0L;
        var control = new SubscriptionControl(rig.Store);
        while ((await control.Status(Cancellation)) is not [{ Position: 30 }])
        {
            most = Math.Max(most, await Sql.Value<long>(rig.Source, "select count(*) from pl_messages"));
            await Sql.Run(rig.Source, "delete from pl_messages where number in (select number from pl_messages order by number limit 3)");
        }

        Assert.InRange(most, 5, 14);
    }

    [Fact]
    public async Task keeps_its_lock_while_a_reaction_thinks_and_gives_up_one_that_never_ends()
    {
        // The server ends an owner that says nothing for 300 ms; this reaction thinks for longer, the other for ever.
        await using var rig = await Rig.Start(options => options with { OwnerSilence = TimeSpan.FromMilliseconds(300) });
        await using var sealer = Sealer.Start(rig.Store);
        var calls = 0;
        var slow = new Subscription("slow", async (events, stop) =>
        {
            Interlocked.Increment(ref calls);
            var began = await Sql.Value<string>(rig.Source, "select clock_timestamp()::text");
            await Rig.Until(() => Sql.Value<bool>(rig.Source, $"select coalesce(max(state_change) > '{began}'::timestamptz + interval '600 ms', false) from pg_stat_activity where datname = current_database() and query = 'select 1'"));
            return [];
        });
        var stuck = new Subscription("stuck", async (_, _) =>
        {
            await new TaskCompletionSource().Task;
            return [];
        })
        { Deadline = TimeSpan.FromMilliseconds(20), Retry = Quick };
        await using var runner = SubscriptionRunner.Start(rig.Store, [slow, stuck]);
        await rig.Store.Decide(Rig.Request(Guid.NewGuid(), new Counted(1)), Cancellation);
        var control = new SubscriptionControl(rig.Store);
        await Rig.Until(async () => (await control.Status(Cancellation)) is [{ Position: 1, Parked: 0 }, { Position: 1, Parked: 1 }]);
        Assert.Equal(1, calls);
    }

    [Fact]
    public async Task of_an_owner_that_falls_silent_goes_to_another()
    {
        await using var rig = await Rig.Start(options => options with { OwnerSilence = TimeSpan.FromSeconds(30) });
        var other = await rig.Another();
        await using var sealer = Sealer.Start(other);

        // This one holds the lock as an owner does, and then says nothing more: a stopped process looks like that to the server.
        await using var silent = await rig.Source.OpenConnectionAsync(Cancellation);
        await Sql.Run(silent, "select pg_advisory_lock(hashtextextended('platform.public.subscription.heir', 0)), set_config('idle_session_timeout', '500', false)");
        var heard = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var runner = SubscriptionRunner.Start(other, [new Subscription("heir", (_, _) =>
        {
            heard.TrySetResult();
            return Task.FromResult<IReadOnlyList<Envelope>>([]);
        })]);
        await other.Decide(Rig.Request(Guid.NewGuid(), new Counted(1)), Cancellation);
        await heard.Task.WaitAsync(TimeSpan.FromSeconds(30), Cancellation);
    }

    [Theory]
    [InlineData("", 1)]
    [InlineData("a", 0)]
    [InlineData("a", 2_001)]
    public async Task of_a_wrong_shape_is_refused(string name, int batch)
    {
        await using var rig = await Rig.Start();
        Assert.Throws<ArgumentException>(() => SubscriptionRunner.Start(rig.Store, [new Subscription(name, (_, _) => Task.FromResult<IReadOnlyList<Envelope>>([])) { BatchSize = batch }]));
        Assert.Throws<ArgumentOutOfRangeException>(() => SubscriptionStart.After(-1));
    }
}

public class The_reading_monitor
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task measures_lag_in_seconds_and_finds_a_transaction_that_stays_open()
    {
        await using var rig = await Rig.Start();
        await using var sealer = Sealer.Start(rig.Store);
        await rig.Store.Decide(Rig.Request(Guid.NewGuid(), new Counted(1)), Cancellation);
        await rig.Store.WaitBeyond(0, Cancellation);
        await using var open = await rig.Source.OpenConnectionAsync(Cancellation);
        await Sql.Run(open, "set application_name = 'the long one'");
        await using var transaction = await open.BeginTransactionAsync(System.Data.IsolationLevel.RepeatableRead, Cancellation);
        await Sql.Run(open, "select count(*) from pl_pending");

        var found = await ReadingMonitor.LongTransactions(rig.Store, TimeSpan.Zero, Cancellation);
        Assert.Contains(found, one => one.Application == "the long one" && one.Pid is not null && one.Age > TimeSpan.Zero);
        Assert.Empty(await ReadingMonitor.LongTransactions(rig.Store, TimeSpan.FromHours(1), Cancellation));

        await Sql.Run(rig.Source, "insert into pl_subscriptions (name, position) values ('nobody', 0)");
        await using var projections = ProjectionRunner.Start(rig.Store, []);
        var lag = new TaskCompletionSource<double>(TaskCreationOptions.RunContinuationsAsynchronously);
        using var listener = new System.Diagnostics.Metrics.MeterListener
        {
            InstrumentPublished = (instrument, listening) =>
            {
                if (instrument.Meter.Name == ReadingMonitor.MeterName) { listening.EnableMeasurementEvents(instrument); }
            },
        };
        listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) =>
        {
            if (instrument.Name == "platform.subscription.lag" && tags[0].Value is "nobody" && value > 0) { lag.TrySetResult(value); }
        });
        listener.Start();
        await using var monitor = ReadingMonitor.Start(rig.Store, projections, TimeSpan.FromMilliseconds(10));
        await Rig.Until(() =>
        {
            listener.RecordObservableInstruments();
            return Task.FromResult(lag.Task.IsCompleted);
        });
    }
}
