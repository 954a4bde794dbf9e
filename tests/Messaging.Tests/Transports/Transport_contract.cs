using System.Text;

namespace Platform.Messaging.Tests;

/// <summary>What every transport promises.</summary>
public abstract class Transport_contract
{
    protected static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    protected static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <param name="capacity">Messages that it holds at the most.</param>
    protected abstract Task<IMessageTransport> Open(int capacity);

    private static Envelope Message(int n = 0) => new(
        Guid.CreateVersion7(),
        new TenantId("acme"),
        "ring",
        "k",
        Encoding.UTF8.GetBytes($$"""{"n":{{n}}}"""),
        new EventMetadata("story", "cause", "ada", new Dictionary<string, string> { ["h"] = "ünï" }));

    private static async Task<IDelivery> Next(IAsyncEnumerator<IDelivery> receiver)
    {
        Assert.True(await receiver.MoveNextAsync().AsTask().WaitAsync(Patience, Cancellation));
        return receiver.Current;
    }

    [Fact]
    public async Task Hands_over_what_was_sent_as_it_was_and_in_its_order()
    {
        var transport = await Open(10);
        Assert.NotEmpty(transport.Name);
        Envelope[] sent = [Message(), Message(1), Message(2) with { Key = null, Metadata = EventMetadata.None }];
        foreach (var message in sent) { await transport.Send(message, Cancellation); }
        await using var receiver = transport.Receive(10, Cancellation).GetAsyncEnumerator(Cancellation);
        foreach (var message in sent)
        {
            var got = (await Next(receiver)).Envelope;
            Assert.Equal((message.Id, message.Tenant, message.Type, message.Key), (got.Id, got.Tenant, got.Type, got.Key));
            Assert.Equal(message.Body.ToArray(), got.Body.ToArray());
            Assert.Equal(message.Metadata with { Headers = null }, got.Metadata with { Headers = null });
            Assert.Equal(message.Metadata.Headers ?? new Dictionary<string, string>(), got.Metadata.Headers ?? new Dictionary<string, string>());
        }
    }

    [Fact]
    public async Task Hands_a_message_to_one_of_its_receivers()
    {
        var transport = await Open(100);
        var got = new System.Collections.Concurrent.ConcurrentBag<Guid>();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        var done = new TaskCompletionSource();
        var receivers = Enumerable.Range(0, 3).Select(_ => Task.Run(async () =>
        {
            await foreach (var delivery in transport.Receive(5, stop.Token))
            {
                got.Add(delivery.Envelope.Id);
                await delivery.Ack(Cancellation);
                if (got.Count >= 50) { done.TrySetResult(); }
            }
        }, Cancellation)).ToArray();
        for (var i = 0; i < 50; i++) { await transport.Send(Message(i), Cancellation); }
        await done.Task.WaitAsync(Patience, Cancellation);
        await stop.CancelAsync();
        foreach (var receiver in receivers) { await Assert.ThrowsAnyAsync<OperationCanceledException>(() => receiver); }
        Assert.Equal(50, got.Distinct().Count());
        Assert.Equal(50, got.Count);
    }

    [Fact]
    public async Task Hands_over_again_what_is_given_back_and_not_what_is_put_aside()
    {
        var transport = await Open(10);
        var (back, aside, last) = (Message(1), Message(2), Message(3));
        await using var receiver = transport.Receive(10, Cancellation).GetAsyncEnumerator(Cancellation);
        foreach (var message in (Envelope[])[back, aside]) { await transport.Send(message, Cancellation); }
        var (first, second) = (await Next(receiver), await Next(receiver));
        await first.Nack(requeue: true, Cancellation);
        await second.Nack(requeue: false, Cancellation);
        await transport.Send(last, Cancellation);
        var (again, after) = (await Next(receiver), await Next(receiver));
        Assert.Equal([back.Id, last.Id], ((Guid[])[again.Envelope.Id, after.Envelope.Id]).OrderBy(id => id == last.Id));
    }

    [Fact]
    public async Task Hands_over_again_what_a_receiver_left_without_acknowledging()
    {
        var transport = await Open(10);
        var (left, taken) = (Message(1), Message(2));
        foreach (var message in (Envelope[])[taken, left]) { await transport.Send(message, Cancellation); }
        IDelivery late;
        await using (var leaving = transport.Receive(10, Cancellation).GetAsyncEnumerator(Cancellation))
        {
            await (await Next(leaving)).Ack(Cancellation);
            late = await Next(leaving);
        }

        await using var staying = transport.Receive(10, Cancellation).GetAsyncEnumerator(Cancellation);
        var again = await Next(staying);
        Assert.Equal(left.Id, again.Envelope.Id);
        await late.Ack(Cancellation);
        await again.Ack(Cancellation);
    }

    [Fact]
    public async Task Puts_no_more_into_a_receivers_hands_than_it_asked_for()
    {
        var transport = await Open(10);
        for (var i = 0; i < 4; i++) { await transport.Send(Message(i), Cancellation); }
        await using var receiver = transport.Receive(2, Cancellation).GetAsyncEnumerator(Cancellation);
        var first = await Next(receiver);
        await Next(receiver);
        var third = receiver.MoveNextAsync().AsTask();
        Assert.False(third.IsCompleted);
        await first.Ack(Cancellation);
        Assert.True(await third.WaitAsync(Patience, Cancellation));
    }

    [Fact]
    public async Task Does_not_take_what_it_has_no_room_for()
    {
        var transport = await Open(3);
        for (var i = 0; i < 3; i++) { await transport.Send(Message(i), Cancellation); }
        using var soon = new CancellationTokenSource(TimeSpan.FromMilliseconds(100));
        await Assert.ThrowsAnyAsync<Exception>(() => transport.Send(Message(3), soon.Token));
        await using var receiver = transport.Receive(1, Cancellation).GetAsyncEnumerator(Cancellation);
        await (await Next(receiver)).Ack(Cancellation);
        await transport.Send(Message(4), Cancellation).WaitAsync(Patience, Cancellation);
    }
}

public sealed class The_transport_in_memory : Transport_contract
{
    protected override Task<IMessageTransport> Open(int capacity) => Task.FromResult<IMessageTransport>(new InMemoryTransport("memory", capacity));
}
