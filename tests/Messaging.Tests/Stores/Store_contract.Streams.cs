using System.Text;
using Platform.Tests.Counting;

namespace Platform.Messaging.Tests;

/// <summary>A store under test, as one process sees it.</summary>
public abstract class StoreUnderTest : IAsyncDisposable
{
    public abstract IEventStreams Streams { get; }

    public abstract IMessageStore Messages { get; }

    /// <summary>Another process on the same data.</summary>
    public abstract Task<(IEventStreams Streams, IMessageStore Messages)> Another();

    /// <summary>Cuts the connection of a membership.</summary>
    public abstract Task Kill(INodeMembership member, string name);

    /// <summary>Completes when every committed event has its position.</summary>
    public abstract Task Seal();

    public abstract ValueTask DisposeAsync();
}

/// <summary>What every store behind the handlers promises.</summary>
public abstract partial class Store_contract
{
    protected static readonly DateTimeOffset Noon = new(2026, 1, 2, 12, 0, 0, TimeSpan.Zero);
    protected static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private static readonly byte[] Hash = [.. Enumerable.Repeat((byte)1, 32)];
    private static readonly TenantId Acme = new("acme");

    protected static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    protected abstract Task<StoreUnderTest> Open();

    private static DecideRequest<Counter> Request(Guid stream, Func<Counter?, long, Decision> decide) =>
        new(TenantId.Default, stream, Folds.Counter, decide, Noon, EventMetadata.None);

    private static DecideRequest<Counter> Request(Guid stream, params object[] events) => Request(stream, (_, _) => new Decision(events, []));

    private static CounterOpened Opened(Guid stream) => new(new CounterId(stream));

    private static Commit Commit(params StreamAppend[] streams) => new() { Tenant = TenantId.Default, Timestamp = Noon, Streams = streams };

    private static InboxEntry Inbox(string id, string answer = "{}", byte[]? hash = null) => new(id, hash ?? Hash, Encoding.UTF8.GetBytes(answer));

    private static async Task<List<RecordedEvent>> All(IAsyncEnumerable<RecordedEvent> events)
    {
        var list = new List<RecordedEvent>();
        await foreach (var recorded in events) { list.Add(recorded); }
        return list;
    }

    [Fact]
    public async Task A_stream_is_folded_from_what_was_decided_on_it()
    {
        await using var store = await Open();
        var id = Guid.NewGuid();
        Assert.Equal(new Loaded<Counter>(null, 0), await store.Streams.Load(TenantId.Default, id, Folds.Counter, Cancellation));
        var first = await store.Streams.Decide(Request(id, Opened(id), new Counted(2)), Cancellation);
        Assert.Equal((2L, 2), (first.Version, first.State!.Total));
        var second = await store.Streams.Decide(Request(id, (state, version) => new Decision([new Counted(state!.Total + (int)version)], [])), Cancellation);
        Assert.Equal((3L, 6), (second.Version, second.State!.Total));
        Assert.Equal(new Loaded<Counter>(new Counter(new CounterId(id), 6), 3), await store.Streams.Load(TenantId.Default, id, Folds.Counter, Cancellation));
        Assert.Null((await store.Streams.Load(Acme, id, Folds.Counter, Cancellation)).State);
    }

    [Fact]
    public async Task Decisions_made_at_once_in_two_processes_all_count()
    {
        await using var store = await Open();
        var (other, _) = await store.Another();
        var id = Guid.NewGuid();
        await store.Streams.Decide(Request(id, Opened(id)), Cancellation);
        await Task.WhenAll(Enumerable.Range(0, 40).Select(i => (i % 2 == 0 ? store.Streams : other).Decide(Request(id, new Counted(1)), Cancellation)));
        Assert.Equal(new Loaded<Counter>(new Counter(new CounterId(id), 40), 41), await other.Load(TenantId.Default, id, Folds.Counter, Cancellation));
    }

    [Fact]
    public async Task A_decision_that_throws_leaves_nothing_and_hurts_nobody_else()
    {
        await using var store = await Open();
        var id = Guid.NewGuid();
        await store.Streams.Decide(Request(id, Opened(id)), Cancellation);
        var bad = store.Streams.Decide(Request(id, (_, _) => throw new FormatException("no")), Cancellation);
        var good = store.Streams.Decide(Request(id, new Counted(1)), Cancellation);
        await Assert.ThrowsAsync<FormatException>(() => bad);
        Assert.Equal(2, (await good).Version);
    }

    [Fact]
    public async Task An_append_holds_its_expectation_or_appends_to_no_stream_at_all()
    {
        await using var store = await Open();
        var (a, b) = (Guid.NewGuid(), Guid.NewGuid());
        await store.Streams.Append(Commit(new StreamAppend(a, "counter", ExpectedVersion.New, [Opened(a)])), Cancellation);
        var conflict = await Assert.ThrowsAsync<VersionConflictException>(() => store.Streams.Append(
            Commit(new StreamAppend(b, "counter", ExpectedVersion.New, [Opened(b)]), new StreamAppend(a, "counter", ExpectedVersion.Exactly(2), [new Counted(1)])), Cancellation));
        Assert.Equal((a, 1L), (conflict.StreamId, conflict.Actual));
        await Assert.ThrowsAsync<VersionConflictException>(() => store.Streams.Append(Commit(new StreamAppend(a, "counter", ExpectedVersion.New, [Opened(a)])), Cancellation));
        await store.Streams.Append(Commit(new StreamAppend(a, "counter", ExpectedVersion.Exactly(1), [new Counted(1)]), new StreamAppend(b, "counter", ExpectedVersion.Any, [Opened(b)])), Cancellation);
        await store.Streams.Append(Commit(new StreamAppend(a, "counter", ExpectedVersion.Any, [new Counted(3)])), Cancellation);
        Assert.Equal(4, (await store.Streams.Load(TenantId.Default, a, Folds.Counter, Cancellation)).State!.Total);
        Assert.Single(await All(store.Streams.Fetch(TenantId.Default, b, cancellation: Cancellation)));
    }

    [Fact]
    public async Task A_stream_is_read_by_version_and_moment_with_what_was_written_beside_its_events()
    {
        await using var store = await Open();
        var id = Guid.NewGuid();
        var metadata = new EventMetadata("story", "cause", "ada", new Dictionary<string, string> { ["h"] = "v" });
        for (var i = 0; i < 3; i++)
        {
            object[] events = i == 0 ? [Opened(id), new Counted(1)] : [new Counted(1)];
            await store.Streams.Append(
                Commit(new StreamAppend(id, "counter", i == 0 ? ExpectedVersion.New : ExpectedVersion.Exactly(i + 1), events)) with { Timestamp = Noon.AddMinutes(i), Metadata = metadata }, Cancellation);
        }

        var all = await All(store.Streams.Fetch(TenantId.Default, id, cancellation: Cancellation));
        Assert.Equal([1, 2, 3, 4], all.Select(e => e.Version));
        Assert.Equal([2, 3], (await All(store.Streams.Fetch(TenantId.Default, id, 2, 3, cancellation: Cancellation))).Select(e => e.Version));
        Assert.Equal([1, 2, 3], (await All(store.Streams.Fetch(TenantId.Default, id, until: Noon.AddMinutes(1), cancellation: Cancellation))).Select(e => e.Version));
        var last = all[^1];
        Assert.Equal((id, "counter", "counted", new Counted(1), Noon.AddMinutes(2), TenantId.Default), (last.StreamId, last.StreamType, last.Alias, last.Data, last.Timestamp, last.Tenant));
        Assert.Equal(("story", "cause", "ada", "v"), (last.Metadata.CorrelationId, last.Metadata.CausationId, last.Metadata.User, last.Metadata.Headers!["h"]));
        Assert.Equal(4, all.DistinctBy(e => e.Id).Count());
    }

    [Fact]
    public async Task All_events_are_read_in_one_gapless_order_that_keeps_the_order_of_each_stream()
    {
        await using var store = await Open();
        var ids = Enumerable.Range(0, 5).Select(_ => Guid.NewGuid()).ToArray();
        await Task.WhenAll(ids.Select(id => store.Streams.Decide(Request(id, Opened(id)), Cancellation)));
        await Task.WhenAll(Enumerable.Range(0, 30).Select(i => store.Streams.Decide(Request(ids[i % 5], new Counted(1)), Cancellation)));
        await store.Streams.Append(Commit(new StreamAppend(ids[0], "counter", ExpectedVersion.New, [Opened(ids[0])])) with { Tenant = Acme }, Cancellation);
        await store.Seal();
        var all = await All(store.Streams.FetchAll(null, 0, 100, Cancellation));
        Assert.Equal(Enumerable.Range(1, 36).Select(i => (long)i), all.Select(e => e.Position));
        foreach (var stream in all.GroupBy(e => (e.Tenant, e.StreamId))) { Assert.Equal(stream.Select(e => e.Version).Order(), stream.Select(e => e.Version)); }
        Assert.Equal(all.Skip(10).Take(5).Select(e => e.Id), (await All(store.Streams.FetchAll(null, 10, 5, Cancellation))).Select(e => e.Id));
        Assert.Equal(Acme, Assert.Single(await All(store.Streams.FetchAll(Acme, 0, 100, Cancellation))).Tenant);
    }

    [Fact]
    public async Task A_command_id_is_answered_once_and_then_from_the_record()
    {
        await using var store = await Open();
        var id = Guid.NewGuid();
        Assert.Null((await store.Streams.Decide(Request(id, Opened(id)) with { Inbox = Inbox("c", "1") }, Cancellation)).Recorded);
        var again = await store.Streams.Decide(Request(id, new Counted(1)) with { Inbox = Inbox("c", "2") }, Cancellation);
        Assert.Equal("1", Encoding.UTF8.GetString(again.Recorded!.Answer.Span));
        Assert.Equal((1L, 0), (again.Version, again.State!.Total));
        var appended = await store.Streams.Append(Commit() with { Inbox = Inbox("c", "3") }, Cancellation);
        Assert.Equal("1", Encoding.UTF8.GetString(appended!.Answer.Span));
        await Assert.ThrowsAsync<CommandConflictException>(() => store.Streams.Decide(Request(id, new Counted(1)) with { Inbox = Inbox("c", "4", new byte[32]) }, Cancellation));
        await Assert.ThrowsAsync<CommandConflictException>(() => store.Streams.Append(Commit() with { Inbox = Inbox("c", "5", new byte[32]) }, Cancellation));
        Assert.Equal("1", Encoding.UTF8.GetString((await store.Messages.FindCommand(TenantId.Default, "c", Cancellation))!.Answer.Span));
        Assert.Null(await store.Messages.FindCommand(Acme, "c", Cancellation));
    }

    [Fact]
    public async Task One_command_sent_many_times_at_once_is_decided_once()
    {
        await using var store = await Open();
        var (other, _) = await store.Another();
        var id = Guid.NewGuid();
        await store.Streams.Decide(Request(id, Opened(id)), Cancellation);
        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(i => (i % 2 == 0 ? store.Streams : other).Decide(Request(id, new Counted(1)) with { Inbox = Inbox("c") }, Cancellation)));
        Assert.Single(answers, a => a.Recorded is null);
        Assert.Equal(1, (await store.Streams.Load(TenantId.Default, id, Folds.Counter, Cancellation)).State!.Total);
    }

    [Fact]
    public async Task The_answer_may_be_written_into_the_entry_while_it_is_decided()
    {
        await using var store = await Open();
        var id = Guid.NewGuid();
        var answer = new byte[4];
        var request = Request(id, (_, _) =>
        {
            "done"u8.CopyTo(answer);
            return new Decision([Opened(id)], []);
        });
        await store.Streams.Decide(request with { Inbox = new InboxEntry("c", Hash, answer) }, Cancellation);
        Assert.Equal("done", Encoding.UTF8.GetString((await store.Messages.FindCommand(TenantId.Default, "c", Cancellation))!.Answer.Span));
    }
}
