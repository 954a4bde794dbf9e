using System.Globalization;
using Platform.EventStore.Projections;
using Platform.EventStore.Sealing;
using Platform.Messaging;

namespace Platform.EventStore.Tests;

public class An_inline_projection
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>A document for each stream and one for all; a negative sum is none. It keeps what it was shown of position and version, which must be nothing.</summary>
    private static Projection<Counter> Totals(int version = 1, int poison = -1, int times = 1, ProjectionLifecycle lifecycle = ProjectionLifecycle.Inline) => new(
        "totals",
        version,
        lifecycle,
        ProjectionJson.Default.Counter,
        recorded => recorded.Data is Counted ? [recorded.StreamId.ToString(), "all"] : [],
        (document, _, recorded) => ((Counted)recorded.Data).By == poison
            ? throw new InvalidDataException("This one cannot be folded.")
            : (document?.Total ?? 0) + (times * ((Counted)recorded.Data).By) is var total and >= 0
                ? new Counter(total, $"{recorded.Position} {recorded.Sequence} {recorded.Version} {recorded.StreamType}", recorded.Timestamp.ToString("O", CultureInfo.InvariantCulture))
                : null,
        document => document.Total.ToString("D10", CultureInfo.InvariantCulture));

    private static Task<Rig> Start(params Projection[] projections) => Rig.Start(options => options with { Projections = projections });

    [Fact]
    public async Task is_read_by_who_appended_without_a_sealer_or_a_wait()
    {
        var projection = Totals();
        await using var rig = await Start(projection);
        var documents = new Documents(rig.Store);
        var stream = Guid.NewGuid();
        await rig.Store.Decide(Rig.Request(stream, new Counted(1), new Labelled("x"), new Counted(2)), Cancellation);
        Assert.Equal(3, (await documents.Get(projection, Rig.Tenant, stream.ToString(), Cancellation))!.Total);

        var other = Guid.NewGuid();
        await rig.Store.Append(Rig.Commit(new StreamAppend(stream, "counter", ExpectedVersion.Any, [new Counted(4)]), new StreamAppend(other, "counter", ExpectedVersion.New, [new Counted(5)])), Cancellation);
        Assert.Equal([12, 7, 5], (await documents.Query(projection, Rig.Tenant, cancellation: Cancellation)).Items.Select(one => one.Total));
        Assert.All((await documents.Query(projection, Rig.Tenant, cancellation: Cancellation)).Items, one => Assert.Equal("0 0 0 ", one.Label));

        // A document that is none goes, and comes again.
        await rig.Store.Decide(Rig.Request(other, new Counted(-6)), Cancellation);
        Assert.Null(await documents.Get(projection, Rig.Tenant, other.ToString(), Cancellation));
        await rig.Store.Decide(Rig.Request(other, new Counted(2)), Cancellation);
        Assert.Equal(2, (await documents.Get(projection, Rig.Tenant, other.ToString(), Cancellation))!.Total);
        Assert.Equal((3, 0), await documents.Verify(projection, Cancellation) is var (compared, different) ? (compared, different.Count) : default);
    }

    [Fact]
    public async Task counts_once_what_writers_of_two_processes_commit_to_one_document()
    {
        var projection = Totals();
        await using var rig = await Start(projection);
        var other = await rig.Another(options => options with { Projections = [projection] });
        var streams = Enumerable.Range(0, 5).Select(_ => Guid.NewGuid()).ToArray();
        await Task.WhenAll(Enumerable.Range(0, 16).Select(writer => Task.Run(
            async () =>
            {
                var store = writer % 2 == 0 ? rig.Store : other;
                for (var i = 0; i < 12; i++) { await store.Decide(Rig.Request(streams[(writer + i) % 5], new Counted(1)), Cancellation); }
            },
            Cancellation)));

        var documents = new Documents(rig.Store);
        Assert.Equal(192, (await documents.Get(projection, Rig.Tenant, "all", Cancellation))!.Total);
        Assert.Empty((await documents.Verify(projection, Cancellation)).Different);
        await rig.AssertSound();
    }

    [Fact]
    public async Task that_throws_refuses_only_the_commit_it_cannot_fold()
    {
        var projection = Totals(poison: 13);
        await using var rig = await Start(projection);
        var stream = Guid.NewGuid();
        var asked = Enumerable.Range(1, 60).Select(i => (By: i % 6 == 3 ? 13 : 1, Answer: rig.Store.Decide(Rig.Request(i % 2 == 0 ? Guid.NewGuid() : stream, new Counted(i % 6 == 3 ? 13 : 1)), Cancellation))).ToArray();
        foreach (var (by, answer) in asked)
        {
            if (by == 1) { await answer; }
            else
            {
                var refused = await Assert.ThrowsAsync<ProjectionFailedException>(() => answer);
                Assert.Equal("Projection 'totals' cannot fold counted: This one cannot be folded.", refused.Message);
            }
        }

        await Assert.ThrowsAsync<ProjectionFailedException>(() => rig.Store.Append(Rig.Commit(Guid.NewGuid(), ExpectedVersion.New, new Counted(1), new Counted(13)), Cancellation));
        var documents = new Documents(rig.Store);
        Assert.Equal(50, (await documents.Get(projection, Rig.Tenant, "all", Cancellation))!.Total);
        Assert.Equal(50, await Sql.Value<long>(rig.Source, "select count(*) from mt_events"));
        Assert.Empty((await documents.Verify(projection, Cancellation)).Different);
        await rig.AssertSound();
    }

    [Fact]
    public async Task counts_once_when_connections_are_cut_under_load()
    {
        var projection = Totals();
        await using var rig = await Start(projection);
        using var done = new CancellationTokenSource();
        var cutting = Task.Run(
            async () =>
            {
                while (!done.IsCancellationRequested)
                {
                    await Sql.Run(rig.Source, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and query like '%pl_project(%' and query not like '%terminate%'");
                    await Task.Delay(20, Cancellation);
                }
            },
            Cancellation);
        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(
            async () =>
            {
                var stream = Guid.NewGuid();
                for (var i = 0; i < 25; i++) { await rig.Store.Decide(Rig.Request(stream, new Counted(1)), Cancellation); }
            },
            Cancellation)));
        await done.CancelAsync();
        await cutting;

        var documents = new Documents(rig.Store);
        Assert.Equal(200, (await documents.Get(projection, Rig.Tenant, "all", Cancellation))!.Total);
        Assert.Empty((await documents.Verify(projection, Cancellation)).Different);
    }

    [Fact]
    public async Task is_rebuilt_and_switched_to_while_two_processes_commit()
    {
        var projection = Totals();
        await using var rig = await Start(projection);
        var other = await rig.Another(options => options with { Projections = [projection] });
        await using var sealer = Sealer.Start(rig.Store);
        await using var runner = ProjectionRunner.Start(rig.Store, [projection]);
        using var done = new CancellationTokenSource();
        var committed = 0;
        var writing = Task.WhenAll(Enumerable.Range(0, 6).Select(writer => Task.Run(
            async () =>
            {
                var stream = Guid.NewGuid();
                while (!done.IsCancellationRequested)
                {
                    await (writer % 2 == 0 ? rig.Store : other).Decide(Rig.Request(stream, new Counted(1)), Cancellation);
                    Interlocked.Increment(ref committed);
                }
            },
            Cancellation)));

        for (var generation = 2; generation <= 4; generation++)
        {
            await runner.Rebuild("totals", Cancellation);
            await Rig.Until(async () => (await runner.Status(Cancellation)) is [{ Live: true } only] && only.Generation == generation);
        }

        await done.CancelAsync();
        await writing;
        var documents = new Documents(rig.Store);
        Assert.Equal(committed, (await documents.Get(projection, Rig.Tenant, "all", Cancellation))!.Total);
        Assert.Equal((7, 0), await documents.Verify(projection, Cancellation) is var (compared, different) ? (compared, different.Count) : default);
    }

    [Fact]
    public async Task is_built_over_an_older_log_before_the_first_commit_and_refuses_an_older_program()
    {
        var projection = Totals(poison: 13);
        await using var rig = await Rig.Start();
        var (sick, sound) = (Guid.NewGuid(), Guid.NewGuid());
        await rig.Store.Decide(Rig.Request(sick, new Counted(1), new Counted(13), new Counted(2)), Cancellation);
        await rig.Store.Decide(Rig.Request(sound, new Counted(5)), Cancellation);

        // What is old and cannot be folded is parked, as in any rebuild; its stream goes on without being shown.
        var first = await rig.Another(options => options with { Projections = [projection] });
        var documents = new Documents(first);
        await first.Decide(Rig.Request(sick, new Counted(3)), Cancellation);
        await first.Decide(Rig.Request(sound, new Counted(1)), Cancellation);
        Assert.Equal(1, (await documents.Get(projection, Rig.Tenant, sick.ToString(), Cancellation))!.Total);
        Assert.Equal(6, (await documents.Get(projection, Rig.Tenant, sound.ToString(), Cancellation))!.Total);
        Assert.Empty((await documents.Verify(projection, Cancellation)).Different);

        var changed = Totals(version: 2, times: 10);
        var second = await rig.Another(options => options with { Projections = [changed] });
        Assert.Equal(60, (await new Documents(second).Get(changed, Rig.Tenant, sound.ToString(), Cancellation))!.Total);
        Assert.Equal(190, (await new Documents(second).Get(changed, Rig.Tenant, sick.ToString(), Cancellation))!.Total);

        var refused = await Assert.ThrowsAsync<StoreUnavailableException>(() => first.Decide(Rig.Request(sound, new Counted(1)), Cancellation));
        Assert.Equal("Projection 'totals' is live in version 2; this program folds version 1.", refused.Message);
        await first.Decide(Rig.Request(sound, new Labelled("not shown")), Cancellation);
        await Assert.ThrowsAsync<ProjectionTooNewException>(() => rig.Another(options => options with { Projections = [projection] }));

        // The same version, async from now on: built again beside the live one.
        await using var sealer = Sealer.Start(rig.Store);
        await using var runner = ProjectionRunner.Start(rig.Store, [Totals(version: 2, times: 10, lifecycle: ProjectionLifecycle.Async)]);
        await Rig.Until(async () => (await runner.Status(Cancellation)) is [{ Live: true, Lifecycle: ProjectionLifecycle.Async, Lag: 0 }]);
        Assert.Equal(60, (await new Documents(second).Get(changed, Rig.Tenant, sound.ToString(), Cancellation))!.Total);
    }

    [Fact]
    public async Task is_verified_against_the_log_and_healed_by_a_rebuild()
    {
        var projection = Totals();
        await using var rig = await Start(projection);
        var streams = Enumerable.Range(1, 5).Select(_ => Guid.NewGuid()).ToArray();
        foreach (var stream in streams) { await rig.Store.Decide(Rig.Request(stream, new Counted(2)), Cancellation); }
        await Sql.Run(rig.Source, $$"""
            update pl_documents set data = jsonb_set(data, '{Total}', '3') where id = '{{streams[1]}}';
            update pl_documents set data = '[]' where id = '{{streams[2]}}';
            delete from pl_documents where id = '{{streams[3]}}';
            """);
        var documents = new Documents(rig.Store);
        Assert.Equal(streams[1..4].Select(id => $"{Rig.Tenant.Value}/{id}").Order(), (await documents.Verify(projection, Cancellation)).Different.Order());

        // What stands there is not what another process's memory holds: it is seen by nobody until a commit reads it.
        var other = await rig.Another(options => options with { Projections = [projection] });
        var refused = await Assert.ThrowsAsync<ProjectionFailedException>(() => other.Decide(Rig.Request(streams[2], new Counted(1)), Cancellation));
        Assert.StartsWith($"Projection 'totals' cannot fold counted: Document '{streams[2]}' cannot be read: ", refused.Message, StringComparison.Ordinal);

        await using var sealer = Sealer.Start(rig.Store);
        await using var runner = ProjectionRunner.Start(rig.Store, [projection]);
        await runner.Rebuild("totals", Cancellation);
        await Rig.Until(async () => (await runner.Status(Cancellation)) is [{ Live: true, Generation: 2 }]);
        Assert.Empty((await documents.Verify(projection, Cancellation)).Different);
        await other.Decide(Rig.Request(streams[2], new Counted(1)), Cancellation);
        await rig.Store.Decide(Rig.Request(streams[2], new Counted(1)), Cancellation);
        Assert.Equal(4, (await documents.Get(projection, Rig.Tenant, streams[2].ToString(), Cancellation))!.Total);
    }
}
