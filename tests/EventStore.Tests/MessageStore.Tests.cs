using System.Text;
using Platform.Messaging;

namespace Platform.EventStore.Tests;

public class Messages
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private static readonly byte[] Hash = new byte[32];

    private static Envelope Message(string type = "ring", string? key = null) =>
        new(Guid.CreateVersion7(), Rig.Tenant, type, key, Encoding.UTF8.GetBytes("""{"n":1}"""), new EventMetadata("story", "cause", "ada", new Dictionary<string, string> { ["h"] = "v" }));

    private static Task<InboxEntry?> Enqueue(Store store, long? owner, params Envelope[] messages) =>
        store.Append(new Commit { Tenant = Rig.Tenant, Timestamp = Rig.Noon, Messages = messages, Owner = owner }, Cancellation);

    [Fact]
    public async Task are_claimed_in_the_order_of_their_enqueuing_once()
    {
        await using var rig = await Rig.Start();
        var store = new MessageStore(rig.Store);
        await using var a = await store.Join("a", Cancellation);
        await using var b = await store.Join("b", Cancellation);
        var messages = Enumerable.Range(0, 9).Select(i => Message(key: $"k{i}")).ToArray();
        await Enqueue(rig.Store, null, messages);

        var first = await store.Claim(a.Owner, 4, Cancellation);
        var second = await store.Claim(b.Owner, 100, Cancellation);

        Assert.Equal(messages.Select(m => m.Id), first.Concat(second).Select(m => m.Id));
        Assert.Equal(4, first.Count);
        Assert.Empty(await store.Claim(a.Owner, 100, Cancellation));
        var (sent, got) = (messages[0], first[0]);
        Assert.Equal((sent.Type, sent.Key, sent.Tenant, 0), (got.Type, got.Key, got.Tenant, got.Attempts));
        Assert.Equal(sent.Body.ToArray(), got.Body.ToArray());
        Assert.Equal(("story", "cause", "ada", "v"), (got.Metadata.CorrelationId, got.Metadata.CausationId, got.Metadata.User, got.Metadata.Headers!["h"]));
    }

    [Fact]
    public async Task of_many_claimers_go_to_one_each()
    {
        await using var rig = await Rig.Start();
        var store = new MessageStore(rig.Store);
        var nodes = await Task.WhenAll(Enumerable.Range(0, 4).Select(i => store.Join($"{i}", Cancellation)));
        await Enqueue(rig.Store, null, [.. Enumerable.Range(0, 200).Select(_ => Message())]);

        var claimed = await Task.WhenAll(nodes.Select(async node =>
        {
            var mine = new List<Envelope>();
            while (await store.Claim(node.Owner, 7, Cancellation) is { Count: > 0 } more) { mine.AddRange(more); }
            return mine;
        }));

        Assert.Equal(200, claimed.Sum(c => c.Count));
        Assert.Equal(200, claimed.SelectMany(c => c).DistinctBy(m => m.Id).Count());
        foreach (var node in nodes) { await node.DisposeAsync(); }
    }

    [Fact]
    public async Task of_a_node_whose_connection_is_cut_are_taken_over_and_its_commits_refused()
    {
        await using var rig = await Rig.Start();
        var store = new MessageStore(rig.Store);
        var dying = await store.Join("dying", Cancellation);
        await using var living = await store.Join("living", Cancellation);
        var message = Message();
        await Enqueue(rig.Store, dying.Owner, message);
        Assert.Empty(await store.Claim(living.Owner, 10, Cancellation));
        Assert.Null(await store.ClaimOne(living.Owner, Rig.Tenant, message.Id, Cancellation));
        var lost = new TaskCompletionSource();
        dying.Lost.Register(lost.SetResult);

        var wait = store.WaitForWork(TimeSpan.FromMinutes(1), Cancellation);
        await Sql.Run(rig.Source, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'platform node dying'");
        await lost.Task.WaitAsync(TimeSpan.FromSeconds(30), Cancellation);
        await wait;

        // The client hears of the end before the server has freed the lock.
        IReadOnlyList<Envelope> claimed;
        while ((claimed = await store.Claim(living.Owner, 10, Cancellation)).Count == 0) { await store.WaitForWork(TimeSpan.FromMinutes(1), Cancellation); }
        Assert.Equal(message.Id, claimed.Single().Id);
        var stream = Guid.NewGuid();
        var request = Rig.Request(stream, new Counted(1));
        await Assert.ThrowsAsync<OwnershipLostException>(() => rig.Store.Decide(request with { Handled = new HandledMessage(Rig.Tenant, message.Id, dying.Owner) }, Cancellation));
        await Assert.ThrowsAsync<OwnershipLostException>(() => store.Begin(dying.Owner, Rig.Tenant, message.Id, Cancellation));
        Assert.Equal(1, await store.Begin(living.Owner, Rig.Tenant, message.Id, Cancellation));
        Assert.Equal(1, (await rig.Store.Decide(request with { Handled = new HandledMessage(Rig.Tenant, message.Id, living.Owner) }, Cancellation)).Version);
        Assert.Equal(0, await Sql.Value<long>(rig.Source, "select count(*) from pl_messages"));
        await dying.DisposeAsync();
        await rig.AssertSound();
    }

    [Fact]
    public async Task of_a_node_that_leaves_are_free_at_once()
    {
        await using var rig = await Rig.Start();
        var store = new MessageStore(rig.Store);
        var leaving = await store.Join("leaving", Cancellation);
        await using var staying = await store.Join("staying", Cancellation);
        await Enqueue(rig.Store, leaving.Owner, Message());

        await leaving.DisposeAsync();

        Assert.True(leaving.Lost.IsCancellationRequested);
        Assert.Single(await store.Claim(staying.Owner, 10, Cancellation));
    }

    [Fact]
    public async Task leave_with_the_events_they_were_decided_with_and_go_when_they_are_handled()
    {
        await using var rig = await Rig.Start();
        var store = new MessageStore(rig.Store);
        await using var node = await store.Join("n", Cancellation);
        var (stream, message) = (Guid.NewGuid(), Message() with { Delay = TimeSpan.FromMinutes(5) });
        await rig.Store.Decide(Rig.Request(stream, (_, _) => new Decision([new Counted(1)], [message])) with { Owner = node.Owner }, Cancellation);
        Assert.Equal(node.Owner, await Sql.Value<long>(rig.Source, "select owner from pl_messages"));
        Assert.Equal(Rig.Noon.UtcDateTime.AddMinutes(5), await Sql.Value<DateTime>(rig.Source, "select due_at from pl_messages"));

        // The same cascade again is the same message.
        await Enqueue(rig.Store, node.Owner, message);
        Assert.Equal(1, await Sql.Value<long>(rig.Source, "select count(*) from pl_messages"));

        var next = Message();
        await rig.Store.Decide(Rig.Request(stream, (_, _) => new Decision([], [next])) with { Handled = new HandledMessage(Rig.Tenant, message.Id, node.Owner) }, Cancellation);
        Assert.Equal([next.Id], await Sql.List<Guid>(rig.Source, "select id from pl_messages where owner is null"));
        await Assert.ThrowsAsync<OwnershipLostException>(() => rig.Store.Append(new Commit { Tenant = Rig.Tenant, Timestamp = Rig.Noon, Handled = new HandledMessage(Rig.Tenant, message.Id, node.Owner) }, Cancellation));
        await rig.AssertSound();
    }

    [Fact]
    public async Task are_retried_buried_requeued_and_discarded()
    {
        await using var rig = await Rig.Start();
        var store = new MessageStore(rig.Store);
        await using var node = await store.Join("n", Cancellation);
        var (a, b) = (Message(), Message());
        await Enqueue(rig.Store, node.Owner, a, b);

        Assert.Equal(1, await store.Begin(node.Owner, Rig.Tenant, a.Id, Cancellation));
        Assert.Equal(2, await store.Begin(node.Owner, Rig.Tenant, a.Id, Cancellation));
        await store.Retry(node.Owner, Rig.Tenant, a.Id, Rig.Noon.AddMinutes(1), new string('e', 9000) + "\0", Cancellation);
        Assert.Equal(MessageStore.MaxErrorLength, await Sql.Value<int>(rig.Source, "select length(last_error) from pl_messages where last_error is not null"));
        await store.Release(node.Owner, [a.Id, b.Id], Cancellation);
        var again = await store.Claim(node.Owner, 10, Cancellation);
        Assert.Equal([(a.Id, 2, Rig.Noon.AddMinutes(1)), (b.Id, 0, null)], again.Select(m => (m.Id, m.Attempts, m.DueAt)));

        foreach (var message in again) { await store.Bury(node.Owner, Rig.Tenant, message.Id, "FormatException", "wrong", Rig.Noon, Cancellation); }
        var letters = await store.DeadLetters(null, 10, Cancellation);
        Assert.Equal([a.Id, b.Id], letters.Select(l => l.Envelope.Id));
        Assert.Equal(("FormatException", "wrong", Rig.Noon), (letters[0].ErrorType, letters[0].Error, letters[0].DiedAt));
        Assert.Empty(await store.DeadLetters(new TenantId("acme"), 10, Cancellation));
        await Assert.ThrowsAsync<OwnershipLostException>(() => store.Retry(node.Owner, Rig.Tenant, a.Id, Rig.Noon, "e", Cancellation));

        Assert.True(await store.Requeue(Rig.Tenant, a.Id, Cancellation));
        Assert.False(await store.Requeue(Rig.Tenant, a.Id, Cancellation));
        Assert.True(await store.Discard(Rig.Tenant, b.Id, Cancellation));
        Assert.False(await store.Discard(Rig.Tenant, b.Id, Cancellation));
        Assert.Equal((a.Id, 0), (await store.ClaimOne(node.Owner, Rig.Tenant, a.Id, Cancellation)) is var m ? (m!.Id, m.Attempts) : default);
    }

    [Fact]
    public async Task that_another_process_enqueues_end_the_wait_for_work()
    {
        await using var rig = await Rig.Start();
        var other = await rig.Another();
        await other.Listener.Start();
        var wait = new MessageStore(other).WaitForWork(TimeSpan.FromMinutes(1), Cancellation);

        await Enqueue(rig.Store, null, Message());

        await wait.WaitAsync(TimeSpan.FromSeconds(30), Cancellation);
    }

    [Fact]
    public async Task wait_for_work_no_longer_than_they_were_told()
    {
        await using var rig = await Rig.Start();
        await new MessageStore(rig.Store).WaitForWork(TimeSpan.FromMilliseconds(10), Cancellation);
    }

    [Fact]
    public async Task from_outside_are_found_by_their_command_id()
    {
        await using var rig = await Rig.Start();
        var store = new MessageStore(rig.Store);
        await rig.Store.Append(new Commit { Tenant = Rig.Tenant, Timestamp = Rig.Noon, Inbox = new InboxEntry("c-1", Hash, "{}"u8.ToArray()) }, Cancellation);

        var found = await store.FindCommand(Rig.Tenant, "c-1", Cancellation);

        Assert.Equal("{}", Encoding.UTF8.GetString(found!.Answer.Span));
        Assert.Equal(Hash, found.RequestHash.ToArray());
        Assert.Null(await store.FindCommand(Rig.Tenant, "c-2", Cancellation));
        Assert.Null(await store.FindCommand(new TenantId("acme"), "c-1", Cancellation));
    }
}
