using System.Collections.Concurrent;
using Platform.EventStore.Projections;
using Platform.EventStore.Sealing;
using Platform.EventStore.Subscriptions;
using Platform.Messaging;

namespace Platform.EventStore.Tests;

public class The_sealer
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task gives_every_committed_event_one_position_and_no_reader_misses_doubles_or_disorders_any_whatever_writers_do()
    {
        await using var rig = await Rig.Start();
        var other = await rig.Another();
        await using var sealer = Sealer.Start(rig.Store);
        await using var standby = Sealer.Start(other);
        var seen = new ConcurrentQueue<RecordedEvent>();
        using var done = new CancellationTokenSource();
        var subscriber = Task.Run(() => Follow(other, seen, done.Token), Cancellation);

        // Every kind of reader. A stream's next version must be the one after the last; what is not is parked.
        var handed = new ConcurrentQueue<long>();
        var versions = new Projection<Counter>(
            "versions",
            1,
            ProjectionLifecycle.Async,
            ProjectionJson.Default.Counter,
            recorded => [recorded.StreamId.ToString()],
            (document, _, recorded) => recorded.Version == (document?.Total ?? 0) + 1 ? new Counter((int)recorded.Version) : throw new InvalidDataException($"Version {recorded.Version} after {document?.Total}."),
            document => document.Total.ToString("D10", System.Globalization.CultureInfo.InvariantCulture));
        await using var projections = ProjectionRunner.Start(other, [versions]);
        await using var subscriptions = SubscriptionRunner.Start(rig.Store, [new Subscription("positions", (events, _) =>
        {
            foreach (var recorded in events) { handed.Enqueue(recorded.Position); }
            return Task.FromResult<IReadOnlyList<Envelope>>([]);
        })]);

        // One transaction stays open all the while, so that the oldest snapshot does not move.
        await using var open = await rig.Source.OpenConnectionAsync(Cancellation);
        await using var held = await open.BeginTransactionAsync(Cancellation);
        await Sql.Run(open, Marten.Append(Guid.NewGuid().ToString(), 1));

        const int writers = 64, each = 25;
        var streams = Enumerable.Range(0, 12).Select(_ => Guid.NewGuid()).ToArray();
        await Task.WhenAll(Enumerable.Range(0, writers).Select(writer => Task.Run(() => Write(writer, each), Cancellation)));
        await held.CommitAsync(Cancellation);

        var total = await Sql.Value<long>(rig.Source, "select count(*) from mt_events");
        Assert.True(total > writers * each / 2);
        await WaitUntil(() => seen.Count >= total);
        await done.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => subscriber);

        Assert.Equal(Enumerable.Range(1, (int)total).Select(i => (long)i), seen.Select(e => e.Position));
        Assert.Equal(total, seen.Select(e => e.Id).Distinct().Count());
        await projections.WaitFor("versions", total, Cancellation);
        await WaitUntil(() => handed.Count >= total);
        Assert.Equal(seen.Select(e => e.Position), handed);
        Assert.Equal(0, Assert.Single(await projections.Status(Cancellation)).Parked);
        Assert.Equal(total, await Sql.Value<long>(rig.Source, "select sum((data->>'Total')::bigint)::bigint from pl_documents where projection = 'versions'"));
        foreach (var stream in seen.GroupBy(e => (e.Tenant, e.StreamId)))
        {
            Assert.Equal(Enumerable.Range(1, stream.Count()).Select(i => (long)i), stream.Select(e => e.Version));
        }

        async Task Write(int writer, int count)
        {
            var random = new Random(writer);
            var store = writer % 2 == 0 ? rig.Store : other;
            for (var i = 0; i < count; i++)
            {
                var stream = streams[random.Next(streams.Length)];
                switch (random.Next(8))
                {
                    case 0:
                        // Marten, in a transaction that takes its time and may roll back after it has drawn its numbers.
                        await using (var connection = await rig.Source.OpenConnectionAsync(Cancellation))
                        await using (var transaction = await connection.BeginTransactionAsync(Cancellation))
                        {
                            await Sql.Run(connection, Marten.Append(Guid.NewGuid().ToString(), 1));
                            await Sql.Run(connection, $"select pg_sleep({random.NextDouble() * 0.02:0.000})");
                            if (random.Next(2) == 0) { await transaction.RollbackAsync(Cancellation); }
                            else { await transaction.CommitAsync(Cancellation); }
                        }

                        break;
                    case 1 when i % 5 == 0:
                        // A writer that dies between its numbers and its commit.
                        await using (var connection = await rig.Source.OpenConnectionAsync(Cancellation))
                        {
                            await Sql.Run(connection, "begin");
                            await Sql.Run(connection, Marten.Append(Guid.NewGuid().ToString(), 1));
                            await Assert.ThrowsAnyAsync<Npgsql.NpgsqlException>(() => Sql.Run(connection, "select pg_terminate_backend(pg_backend_pid())"));
                        }

                        break;
                    case 1:
                        await store.Append(Rig.Commit(new StreamAppend(stream, "counter", ExpectedVersion.Any, [new Counted(1)]), new StreamAppend(Guid.NewGuid(), "counter", ExpectedVersion.New, [new Counted(2)])), Cancellation);
                        break;
                    default:
                        await store.Decide(Rig.Request(stream, new Counted(1), new Counted(2)), Cancellation);
                        break;
                }
            }
        }
    }

    [Fact]
    public async Task is_followed_by_another_when_its_connection_dies()
    {
        await using var rig = await Rig.Start();
        var other = await rig.Another();
        await using var first = Sealer.Start(rig.Store);
        await rig.Store.Decide(Rig.Request(Guid.NewGuid(), new Counted(1)), Cancellation);
        await rig.Store.WaitBeyond(0, Cancellation);
        await using var second = Sealer.Start(other);
        Assert.False(second.Owns);

        await Sql.Run(rig.Source, "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted and database = (select oid from pg_database where datname = current_database()) and pid <> pg_backend_pid()");
        for (var i = 0; i < 20; i++) { await other.Decide(Rig.Request(Guid.NewGuid(), new Counted(1)), Cancellation); }

        await other.WaitBeyond(20, Cancellation);
        Assert.Equal(21, await Sql.Value<long>(rig.Source, "select sum(cardinality(seqs))::bigint from pl_seals"));
        Assert.Equal(21, await Sql.Value<long>(rig.Source, "select count(distinct s) from pl_seals, unnest(seqs) s"));
        Assert.NotEqual(first.Owns, second.Owns);
    }

    [Fact]
    public async Task works_off_a_backlog_larger_than_one_batch_in_the_order_of_versions()
    {
        await using var rig = await Rig.Start();
        var id = Guid.NewGuid();
        for (var i = 0; i < 12; i++) { await rig.Store.Append(Rig.Commit(id, i == 0 ? ExpectedVersion.New : ExpectedVersion.Exactly(i * 1000), [.. Enumerable.Range(1, 1000).Select(n => new Counted(n))]), Cancellation); }

        await using var sealer = Sealer.Start(rig.Store);
        await rig.Store.WaitBeyond(11_999, Cancellation);
        var events = new List<RecordedEvent>();
        await foreach (var recorded in rig.Store.FetchAll(null, 0, 20_000, Cancellation)) { events.Add(recorded); }
        Assert.Equal(Enumerable.Range(1, 12_000).Select(i => (long)i), events.Select(e => e.Version));
        Assert.Equal(12_000, await Sql.Value<long>(rig.Source, "select last_seq_id from mt_event_progression where name = 'HighWaterMark'"));
    }

    [Fact]
    public async Task tells_tenants_apart_and_leaves_out_what_this_program_does_not_know()
    {
        await using var rig = await Rig.Start();
        await using var sealer = Sealer.Start(rig.Store);
        await rig.Store.Append(Rig.Commit(Guid.NewGuid(), ExpectedVersion.New, new Counted(1)) with { Tenant = new TenantId("acme") }, Cancellation);
        await Sql.Run(rig.Source, Marten.Append(Guid.NewGuid().ToString(), 1, "from_the_future"));
        await rig.Store.Decide(Rig.Request(Guid.NewGuid(), new Counted(2)), Cancellation);
        await rig.Store.WaitBeyond(2, Cancellation);

        var acme = new List<RecordedEvent>();
        await foreach (var recorded in rig.Store.FetchAll(new TenantId("acme"), 0, 100, Cancellation)) { acme.Add(recorded); }
        Assert.Equal(new Counted(1), Assert.Single(acme).Data);
        Assert.Equal(2, await rig.Store.FetchAll(null, 0, 100, Cancellation).CountAsync(Cancellation));
    }

    private static async Task Follow(Store store, ConcurrentQueue<RecordedEvent> seen, CancellationToken cancellation)
    {
        long position = 0;
        while (true)
        {
            await foreach (var recorded in store.FetchAll(null, position, 500, cancellation))
            {
                seen.Enqueue(recorded);
                position = recorded.Position;
            }

            await store.WaitBeyond(position, cancellation);
        }
    }

    internal static async Task WaitUntil(Func<bool> condition)
    {
        for (var i = 0; i < 3_000 && !condition(); i++) { await Task.Delay(10, Cancellation); }
        Assert.True(condition(), "It did not happen within 30 s.");
    }
}

public class A_projection
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private static Projection<Counter> Totals(int version = 1, int poison = -1, int times = 1) => new(
        "totals",
        version,
        ProjectionLifecycle.Async,
        ProjectionJson.Default.Counter,
        recorded => recorded.Data is Counted ? [recorded.StreamId.ToString(), "all"] : [],
        (document, _, recorded) => ((Counted)recorded.Data).By == poison ? throw new InvalidDataException("This one cannot be folded.") : new Counter((document?.Total ?? 0) + (times * ((Counted)recorded.Data).By)),
        document => document.Total.ToString("D10", System.Globalization.CultureInfo.InvariantCulture));

    [Fact]
    public async Task counts_every_event_once_even_when_its_owner_dies_again_and_again()
    {
        await using var rig = await Rig.Start();
        var other = await rig.Another();
        await using var sealer = Sealer.Start(rig.Store);
        var projection = Totals();
        await using var first = ProjectionRunner.Start(rig.Store, [projection]);
        await using var second = ProjectionRunner.Start(other, [projection]);
        var streams = Enumerable.Range(0, 10).Select(_ => Guid.NewGuid()).ToArray();
        for (var i = 0; i < 300; i++)
        {
            await rig.Store.Decide(Rig.Request(streams[i % 10], new Counted(1)), Cancellation);
            if (i % 60 == 30) { await Sql.Run(rig.Source, "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted and database = (select oid from pg_database where datname = current_database()) and pid <> pg_backend_pid()"); }
        }

        await rig.Store.WaitBeyond(299, Cancellation);
        await first.WaitFor("totals", 300, Cancellation);
        var documents = new Documents(rig.Store);
        Assert.Equal(300, (await documents.Get(projection, Rig.Tenant, "all", Cancellation))!.Total);
        Assert.Equal(30, (await documents.Get(projection, Rig.Tenant, streams[3].ToString(), Cancellation))!.Total);
        Assert.Equal((11, 0), await documents.Verify(projection, Cancellation) is var (compared, different) ? (compared, different.Count) : default);
    }

    [Fact]
    public async Task parks_what_it_cannot_fold_and_goes_on_with_other_streams()
    {
        await using var rig = await Rig.Start();
        await using var sealer = Sealer.Start(rig.Store);
        var projection = Totals(poison: 13);
        await using var runner = ProjectionRunner.Start(rig.Store, [projection]);
        var (sick, sound) = (Guid.NewGuid(), Guid.NewGuid());
        await rig.Store.Decide(Rig.Request(sick, new Counted(1), new Counted(13), new Counted(2)), Cancellation);
        await rig.Store.Decide(Rig.Request(sound, new Counted(5)), Cancellation);
        await runner.WaitFor("totals", 4, Cancellation);

        var documents = new Documents(rig.Store);
        Assert.Equal(1, (await documents.Get(projection, Rig.Tenant, sick.ToString(), Cancellation))!.Total);
        Assert.Equal(5, (await documents.Get(projection, Rig.Tenant, sound.ToString(), Cancellation))!.Total);
        Assert.Equal(2, Assert.Single(await runner.Status(Cancellation)).Parked);
        Assert.Equal("This one cannot be folded.", await Sql.Value<string>(rig.Source, "select error from pl_parked where error is not null"));
        Assert.Empty((await documents.Verify(projection, Cancellation)).Different);
    }

    [Fact]
    public async Task leaves_out_what_a_person_discards_and_folds_all_of_it_when_it_can_while_events_come_in()
    {
        await using var rig = await Rig.Start();
        await using var sealer = Sealer.Start(rig.Store);
        var healed = false;
        var projection = new Projection<Counter>(
            "totals",
            1,
            ProjectionLifecycle.Async,
            ProjectionJson.Default.Counter,
            recorded => recorded.Data is Counted ? [recorded.StreamId.ToString(), "all"] : [],
            (document, _, recorded) => ((Counted)recorded.Data).By == 13 && !Volatile.Read(ref healed)
                ? throw new InvalidDataException("This one cannot be folded.")
                : new Counter((document?.Total ?? 0) + ((Counted)recorded.Data).By),
            document => document.Total.ToString("D10", System.Globalization.CultureInfo.InvariantCulture));
        await using var runner = ProjectionRunner.Start(rig.Store, [projection]);
        var documents = new Documents(rig.Store);
        var sick = Guid.NewGuid();
        await rig.Store.Decide(Rig.Request(sick, new Counted(1), new Counted(13), new Counted(2)), Cancellation);
        await runner.WaitFor("totals", 3, Cancellation);
        Assert.Equal([(2L, "This one cannot be folded."), (3L, null)], (await ParkedEvent.List(rig.Store, "totals", 10, Cancellation)).Select(e => (e.Position, e.Error)));

        using var done = new CancellationTokenSource();
        var written = 0;
        var writing = Task.Run(
            async () =>
            {
                var sound = Guid.NewGuid();
                for (; !done.IsCancellationRequested; written++) { await rig.Store.Decide(Rig.Request(sound, new Counted(1)), Cancellation); }
            },
            Cancellation);

        Assert.Null(await runner.Discard("totals", 3, "ada", Cancellation));
        await runner.WaitForGeneration("totals", (await runner.Discard("totals", 2, "ada", Cancellation))!.Value, Cancellation);
        Assert.Equal(3, (await documents.Get(projection, Rig.Tenant, sick.ToString(), Cancellation))!.Total);
        Assert.Equal((0, 1), (await runner.Status(Cancellation)).Single(one => one.Live) is var live ? (live.Parked, live.Discarded) : default);
        Assert.Empty((await documents.Verify(projection, Cancellation)).Different);

        Volatile.Write(ref healed, true);
        await runner.WaitForGeneration("totals", await runner.Retry("totals", Cancellation), Cancellation);
        Assert.Equal(16, (await documents.Get(projection, Rig.Tenant, sick.ToString(), Cancellation))!.Total);
        await done.CancelAsync();
        await writing;
        await rig.Store.WaitBeyond(written + 2, Cancellation);
        await runner.WaitFor("totals", written + 3, Cancellation);
        Assert.Equal(written + 16, (await documents.Get(projection, Rig.Tenant, "all", Cancellation))!.Total);
        Assert.Empty((await documents.Verify(projection, Cancellation)).Different);
    }

    [Fact]
    public async Task parks_the_one_event_whose_document_cannot_be_written()
    {
        await using var rig = await Rig.Start(options => options with { Limits = new StoreLimits { DocumentBytes = 2_000 } });
        await using var sealer = Sealer.Start(rig.Store);
        var projection = new Projection<Counter>(
            "labels",
            1,
            ProjectionLifecycle.Async,
            ProjectionJson.Default.Counter,
            recorded => recorded.Data is Labelled ? [recorded.StreamId.ToString()] : [],
            (_, _, recorded) => ((Labelled)recorded.Data).Label switch
            {
                "nul" => new Counter(1, "a\0b"),
                "large" => new Counter(1, new string('x', 3_000)),
                var label => new Counter(1, label),
            },
            document => document.Label == "sort" ? new string('s', 2_000) : document.Label ?? "");
        await using var runner = ProjectionRunner.Start(rig.Store, [projection]);
        string[] labels = ["fine", "nul", "large", "sort", "fine too"];
        await rig.Store.Append(Rig.Commit([.. labels.Select(label => new StreamAppend(Guid.NewGuid(), "counter", ExpectedVersion.New, [new Labelled(label)]))]), Cancellation);
        await rig.Store.WaitBeyond(4, Cancellation);
        await runner.WaitFor("labels", 5, Cancellation);

        Assert.Equal(["fine", "fine too"], (await new Documents(rig.Store).Query(projection, Rig.Tenant, newestFirst: false, cancellation: Cancellation)).Items.Select(one => one.Label));
        var errors = (await ParkedEvent.List(rig.Store, "labels", 10, Cancellation)).Select(e => e.Error!).ToArray();
        Assert.Equal(3, errors.Length);
        Assert.Contains("document bytes is 3", errors[1], StringComparison.Ordinal);
        Assert.Contains("sort key bytes is 2000, at most 1024", errors[2], StringComparison.Ordinal);
        Assert.Empty((await new Documents(rig.Store).Verify(projection, Cancellation)).Different);
    }

    [Fact]
    public async Task of_a_new_version_grows_beside_the_live_one_and_takes_its_place()
    {
        await using var rig = await Rig.Start();
        await using var sealer = Sealer.Start(rig.Store);
        for (var i = 0; i < 50; i++) { await rig.Store.Decide(Rig.Request(Guid.NewGuid(), new Counted(1)), Cancellation); }
        await rig.Store.WaitBeyond(49, Cancellation);
        await using (var old = ProjectionRunner.Start(rig.Store, [Totals()])) { await old.WaitFor("totals", 50, Cancellation); }

        var changed = Totals(version: 2, times: 10);
        await using var runner = ProjectionRunner.Start(rig.Store, [changed]);
        var documents = new Documents(rig.Store);
        for (var i = 0; i < 1_000 && (await documents.Get(changed, Rig.Tenant, "all", Cancellation))?.Total != 500; i++) { await Task.Delay(10, Cancellation); }
        Assert.Equal(500, (await documents.Get(changed, Rig.Tenant, "all", Cancellation))!.Total);

        await runner.Rebuild("totals", Cancellation);
        for (var i = 0; i < 1_000 && (await runner.Status(Cancellation)) is not [{ Live: true, Generation: 3 }]; i++) { await Task.Delay(10, Cancellation); }
        Assert.Equal((3L, 2), (await runner.Status(Cancellation)) is [var only] ? (only.Generation, only.Version) : default);
        Assert.Equal(500, (await documents.Get(changed, Rig.Tenant, "all", Cancellation))!.Total);
    }

    [Fact]
    public async Task is_read_page_by_page()
    {
        await using var rig = await Rig.Start();
        await using var sealer = Sealer.Start(rig.Store);
        var projection = Totals();
        await using var runner = ProjectionRunner.Start(rig.Store, [projection]);
        for (var i = 1; i <= 25; i++) { await rig.Store.Decide(Rig.Request(Guid.NewGuid(), new Counted(i)), Cancellation); }
        await rig.Store.WaitBeyond(24, Cancellation);
        await runner.WaitFor("totals", 25, Cancellation);

        var documents = new Documents(rig.Store);
        var totals = new List<int>();
        DocumentCursor? after = null;
        do
        {
            var page = await documents.Query(projection, Rig.Tenant, after: after, limit: 10, cancellation: Cancellation);
            totals.AddRange(page.Items.Select(item => item.Total));
            after = page.Next;
        }
        while (after is not null);
        Assert.Equal([325, .. Enumerable.Range(1, 25).Reverse()], totals);
        Assert.Equal(7, Assert.Single((await documents.Query(projection, Rig.Tenant, """{"Total":7}""", cancellation: Cancellation)).Items).Total);
        Assert.Empty((await documents.Query(projection, new TenantId("other"), cancellation: Cancellation)).Items);
    }
}

[System.Text.Json.Serialization.JsonSerializable(typeof(Counter))]
internal sealed partial class ProjectionJson : System.Text.Json.Serialization.JsonSerializerContext;
