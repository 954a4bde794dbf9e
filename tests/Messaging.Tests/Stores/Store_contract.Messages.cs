using System.Text;
using Platform.Tests.Counting;

namespace Platform.Messaging.Tests;

public abstract partial class Store_contract
{
    private static Envelope Message(string? key = null) =>
        new(Guid.CreateVersion7(), TenantId.Default, "ring", key, Encoding.UTF8.GetBytes("""{"n":1}"""), new EventMetadata("story", "cause", "ada", new Dictionary<string, string> { ["h"] = "v" }));

    private static Task<InboxEntry?> Enqueue(StoreUnderTest store, long? owner, params Envelope[] messages) =>
        store.Streams.Append(Commit() with { Messages = messages, Owner = owner }, Cancellation);

    [Fact]
    public async Task Messages_are_claimed_in_their_order_and_by_one()
    {
        await using var store = await Open();
        await using var a = await store.Messages.Join("a", Cancellation);
        await using var b = await store.Messages.Join("b", Cancellation);
        var messages = Enumerable.Range(0, 9).Select(i => Message($"k{i}")).ToArray();
        await Enqueue(store, null, messages);
        var first = await store.Messages.Claim(a.Owner, 4, Cancellation);
        var second = await store.Messages.Claim(b.Owner, 100, Cancellation);
        Assert.Equal(messages.Select(m => m.Id), first.Concat(second).Select(m => m.Id));
        Assert.Equal(4, first.Count);
        Assert.Empty(await store.Messages.Claim(a.Owner, 100, Cancellation));
        Assert.Null(await store.Messages.ClaimOne(b.Owner, TenantId.Default, messages[0].Id, Cancellation));
        var (sent, got) = (messages[0], first[0]);
        Assert.Equal((sent.Type, sent.Key, sent.Tenant, 0), (got.Type, got.Key, got.Tenant, got.Attempts));
        Assert.Equal(sent.Body.ToArray(), got.Body.ToArray());
        Assert.Equal(("story", "cause", "ada", "v"), (got.Metadata.CorrelationId, got.Metadata.CausationId, got.Metadata.User, got.Metadata.Headers!["h"]));
    }

    [Fact]
    public async Task A_message_leaves_with_what_it_was_decided_with_and_goes_when_it_is_handled()
    {
        await using var store = await Open();
        await using var node = await store.Messages.Join("n", Cancellation);
        await using var other = await store.Messages.Join("o", Cancellation);
        var (id, message, next) = (Guid.NewGuid(), Message(), Message());
        await store.Streams.Decide(Request(id, (_, _) => new Decision([Opened(id)], [message])) with { Owner = node.Owner }, Cancellation);
        Assert.Empty(await store.Messages.Claim(other.Owner, 10, Cancellation));

        // The same cascade again is the same message.
        await Enqueue(store, node.Owner, message);
        var handled = new HandledMessage(TenantId.Default, message.Id, node.Owner);
        await Assert.ThrowsAsync<OwnershipLostException>(() => store.Streams.Decide(Request(id, new Counted(1)) with { Handled = handled with { Owner = other.Owner } }, Cancellation));
        await store.Streams.Decide(Request(id, (_, _) => new Decision([], [next])) with { Handled = handled }, Cancellation);
        Assert.Equal([next.Id], (await store.Messages.Claim(other.Owner, 10, Cancellation)).Select(m => m.Id));
        await Assert.ThrowsAsync<OwnershipLostException>(() => store.Streams.Append(Commit() with { Handled = handled }, Cancellation));
        await Assert.ThrowsAsync<OwnershipLostException>(() => store.Streams.Decide(Request(id, new Counted(1)) with { Handled = handled }, Cancellation));
        Assert.Equal(1, (await store.Streams.Load(TenantId.Default, id, Folds.Counter, Cancellation)).Version);
    }

    [Fact]
    public async Task What_a_dead_node_owned_is_taken_over_and_its_commits_are_refused()
    {
        await using var store = await Open();
        var (_, others) = await store.Another();
        var dying = await store.Messages.Join("dying", Cancellation);
        await using var living = await others.Join("living", Cancellation);
        var message = Message();
        await Enqueue(store, dying.Owner, message);
        var lost = new TaskCompletionSource();
        dying.Lost.Register(lost.SetResult);
        var wait = others.WaitForWork(TimeSpan.FromMinutes(1), Cancellation);
        await store.Kill(dying, "dying");
        await lost.Task.WaitAsync(Patience, Cancellation);
        await wait.WaitAsync(Patience, Cancellation);
        Assert.Equal(message.Id, Assert.Single(await others.Claim(living.Owner, 10, Cancellation)).Id);
        await Assert.ThrowsAsync<OwnershipLostException>(() => store.Messages.Begin(dying.Owner, TenantId.Default, message.Id, Cancellation));
        await Assert.ThrowsAsync<OwnershipLostException>(() => store.Streams.Append(Commit() with { Handled = new HandledMessage(TenantId.Default, message.Id, dying.Owner) }, Cancellation));
        Assert.Equal(1, await others.Begin(living.Owner, TenantId.Default, message.Id, Cancellation));
        await dying.DisposeAsync();
    }

    [Fact]
    public async Task Messages_are_released_retried_buried_requeued_and_discarded()
    {
        await using var store = await Open();
        await using var node = await store.Messages.Join("n", Cancellation);
        await using var other = await store.Messages.Join("o", Cancellation);
        var (a, b) = (Message(), Message());
        await Enqueue(store, node.Owner, a, b);
        Assert.Equal(1, await store.Messages.Begin(node.Owner, TenantId.Default, a.Id, Cancellation));
        Assert.Equal(2, await store.Messages.Begin(node.Owner, TenantId.Default, a.Id, Cancellation));
        await store.Messages.Retry(node.Owner, TenantId.Default, a.Id, Noon.AddMinutes(1), "away\0", Cancellation);
        await store.Messages.Release(other.Owner, [a.Id], Cancellation);
        Assert.Empty(await store.Messages.Claim(other.Owner, 10, Cancellation));
        await store.Messages.Release(node.Owner, [a.Id, b.Id], Cancellation);
        var again = await store.Messages.Claim(other.Owner, 10, Cancellation);
        Assert.Equal([(a.Id, 2, Noon.AddMinutes(1)), (b.Id, 0, null)], again.Select(m => (m.Id, m.Attempts, m.DueAt)));
        await Assert.ThrowsAsync<OwnershipLostException>(() => store.Messages.Retry(node.Owner, TenantId.Default, a.Id, Noon, "e", Cancellation));
        await Assert.ThrowsAsync<OwnershipLostException>(() => store.Messages.Bury(node.Owner, TenantId.Default, a.Id, "E", "e", Noon, Cancellation));

        foreach (var message in again) { await store.Messages.Bury(other.Owner, TenantId.Default, message.Id, "FormatException", "wrong", Noon, Cancellation); }
        var letters = await store.Messages.DeadLetters(null, 10, Cancellation);
        Assert.Equal([a.Id, b.Id], letters.Select(l => l.Envelope.Id));
        Assert.Equal(("FormatException", "wrong", Noon), (letters[0].ErrorType, letters[0].Error, letters[0].DiedAt));
        Assert.Empty(await store.Messages.DeadLetters(Acme, 10, Cancellation));
        Assert.True(await store.Messages.Requeue(TenantId.Default, a.Id, Cancellation));
        Assert.False(await store.Messages.Requeue(TenantId.Default, a.Id, Cancellation));
        Assert.True(await store.Messages.Discard(TenantId.Default, b.Id, Cancellation));
        Assert.False(await store.Messages.Discard(TenantId.Default, b.Id, Cancellation));
        var back = (await store.Messages.ClaimOne(node.Owner, TenantId.Default, a.Id, Cancellation))!;
        Assert.Equal((a.Id, 0, null), (back.Id, back.Attempts, back.DueAt));
    }

    [Fact]
    public async Task Attempts_that_died_with_their_process_are_told_from_those_that_ended()
    {
        await using var store = await Open();
        var message = Message();
        await Enqueue(store, null, message);

        // Each process begins; this is what it comes to.
        Func<INodeMembership, Task>[] ends =
        [
            _ => Task.CompletedTask,
            node => store.Messages.Retry(node.Owner, TenantId.Default, message.Id, Noon, "no dice", Cancellation),
            _ => Task.CompletedTask,
            _ => Task.CompletedTask,
            node => store.Messages.Release(node.Owner, [message.Id], Cancellation),
        ];
        var seen = new List<(int, int)>();
        foreach (var end in (IEnumerable<Func<INodeMembership, Task>>)[.. ends, ends[0]])
        {
            await using var node = await store.Messages.Join("n", Cancellation);
            var claimed = (await store.Messages.ClaimOne(node.Owner, TenantId.Default, message.Id, Cancellation))!;
            seen.Add((claimed.Attempts, claimed.Crashes));
            await store.Messages.Begin(node.Owner, TenantId.Default, message.Id, Cancellation);
            await end(node);
        }

        Assert.Equal([(0, 0), (1, 1), (2, 0), (3, 1), (4, 2), (5, 0)], seen);
    }

    [Fact]
    public async Task A_delay_is_a_moment_for_whoever_takes_the_message_over()
    {
        await using var store = await Open();
        await using var node = await store.Messages.Join("n", Cancellation);
        await Enqueue(store, null, Message() with { Delay = TimeSpan.FromMinutes(5), DueAt = Noon.AddMinutes(5) });
        var claimed = Assert.Single(await store.Messages.Claim(node.Owner, 10, Cancellation));
        Assert.Equal((null, Noon.AddMinutes(5)), (claimed.Delay, claimed.DueAt));
    }

    [Fact]
    public async Task The_wait_for_work_ends_with_work_or_with_its_time()
    {
        await using var store = await Open();
        var (streams, others) = await store.Another();
        await others.WaitForWork(TimeSpan.FromMilliseconds(10), Cancellation).WaitAsync(Patience, Cancellation);
        var wait = others.WaitForWork(TimeSpan.FromMinutes(1), Cancellation);
        await Enqueue(store, null, Message());
        await wait.WaitAsync(Patience, Cancellation);
        await others.WaitForWork(TimeSpan.FromMinutes(1), Cancellation).WaitAsync(Patience, Cancellation);
        Assert.NotNull(streams);
    }

    [Fact]
    public async Task An_owner_finds_all_that_is_his_and_may_take_it_again()
    {
        await using var store = await Open();
        await using var node = await store.Messages.Join("n", Cancellation);
        await using var other = await store.Messages.Join("o", Cancellation);
        var (mine, theirs, free) = (Message(), Message(), Message());
        await Enqueue(store, node.Owner, mine);
        await Enqueue(store, other.Owner, theirs);
        await Enqueue(store, null, free);
        Assert.Equal([new MessageRef(TenantId.Default, mine.Id)], await store.Messages.Owned(node.Owner, Cancellation));
        Assert.Equal(mine.Id, (await store.Messages.ClaimOne(node.Owner, TenantId.Default, mine.Id, Cancellation))!.Id);
        Assert.Null(await store.Messages.ClaimOne(node.Owner, TenantId.Default, theirs.Id, Cancellation));
        Assert.NotNull(await store.Messages.ClaimOne(node.Owner, TenantId.Default, free.Id, Cancellation));
        Assert.Equal([mine.Id, free.Id], (await store.Messages.Owned(node.Owner, Cancellation)).Select(m => m.Id).OrderBy(id => id == free.Id));
    }

    [Fact]
    public async Task What_is_due_is_what_nobody_living_has_and_whose_moment_has_come()
    {
        await using var store = await Open();
        await using var node = await store.Messages.Join("n", Cancellation);
        var dying = await store.Messages.Join("dying", Cancellation);
        var (owned, orphan, free, past, future) = (Message(), Message(), Message(), Message() with { DueAt = Noon.AddMinutes(-1) }, Message() with { DueAt = Noon.AddMinutes(1) });
        await Enqueue(store, node.Owner, owned);
        await Enqueue(store, dying.Owner, orphan);
        await Enqueue(store, null, free, past, future);
        await dying.DisposeAsync();
        Assert.Equal([orphan.Id, free.Id, past.Id], (await store.Messages.Due(Noon, 10, Cancellation)).Select(m => m.Id));
        Assert.Equal([orphan.Id, free.Id], (await store.Messages.Due(Noon, 2, Cancellation)).Select(m => m.Id));
        Assert.Equal(4, (await store.Messages.Claim(node.Owner, 10, Cancellation)).Count);
        Assert.Empty(await store.Messages.Due(Noon, 10, Cancellation));
    }

    [Fact]
    public async Task An_interruption_is_heard_by_other_processes_that_listen()
    {
        await using var store = await Open();
        var (_, others) = await store.Another();
        var heard = new System.Collections.Concurrent.ConcurrentQueue<(TenantId, Guid)>();
        var stream = Guid.NewGuid();
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        deadline.CancelAfter(Patience);
        var hearing = others.OnInterrupt((tenant, id) => heard.Enqueue((tenant, id)));

        // Said until it is heard: nothing tells when the other one begins to listen.
        while (heard.IsEmpty)
        {
            await store.Messages.Interrupt(Acme, stream, deadline.Token);
            await Task.Delay(5, deadline.Token);
        }

        hearing.Dispose();
        Assert.All(heard, h => Assert.Equal((Acme, stream), h));
    }
}
