using System.Runtime.CompilerServices;

namespace Platform.Messaging;

/// <summary>A transport within one process, for tests and simulations.</summary>
/// <param name="capacity">Messages that it holds, those in receivers' hands included; beyond it a sender waits.</param>
public sealed class InMemoryTransport(string name, int capacity = 1_000) : IMessageTransport
{
    private readonly Lock gate = new();
    private readonly LinkedList<Envelope> waiting = [];
    private readonly List<Envelope> rejected = [];
    private TaskCompletionSource changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int inHands;

    public string Name => name;

    /// <summary>Put aside: nobody could take them.</summary>
    public IReadOnlyList<Envelope> Rejected
    {
        get { lock (gate) { return [.. rejected]; } }
    }

    public async Task Send(Envelope envelope, CancellationToken cancellation)
    {
        while (true)
        {
            Task room;
            lock (gate)
            {
                if (waiting.Count + inHands < capacity)
                {
                    waiting.AddLast(envelope with { Body = envelope.Body.ToArray() });
                    Changed();
                    return;
                }

                room = changed.Task;
            }

            await room.WaitAsync(cancellation);
        }
    }

    public async IAsyncEnumerable<IDelivery> Receive(int unacknowledged, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var mine = new List<Delivery>();
        try
        {
            while (true)
            {
                cancellation.ThrowIfCancellationRequested();
                Delivery? next = null;
                Task something;
                lock (gate)
                {
                    if (mine.Count < unacknowledged && waiting.First is { } first)
                    {
                        waiting.RemoveFirst();
                        inHands++;
                        mine.Add(next = new Delivery(this, mine, first.Value));
                    }

                    something = changed.Task;
                }

                if (next is not null) { yield return next; }
                else { await something.WaitAsync(cancellation); }
            }
        }
        finally
        {
            lock (gate)
            {
                for (var i = mine.Count - 1; i >= 0; i--) { waiting.AddFirst(mine[i].Envelope); }
                inHands -= mine.Count;
                mine.Clear();
                Changed();
            }
        }
    }

    private void Changed()
    {
        changed.TrySetResult();
        changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    private sealed class Delivery(InMemoryTransport transport, List<Delivery> hands, Envelope envelope) : IDelivery
    {
        public Envelope Envelope => envelope;

        public Task Ack(CancellationToken cancellation) => Leave(static (_, _) => { });

        public Task Nack(bool requeue, CancellationToken cancellation) => requeue
            ? Leave(static (transport, envelope) => transport.waiting.AddFirst(envelope))
            : Leave(static (transport, envelope) => transport.rejected.Add(envelope));

        private Task Leave(Action<InMemoryTransport, Envelope> to)
        {
            lock (transport.gate)
            {
                if (hands.Remove(this))
                {
                    transport.inHands--;
                    to(transport, envelope);
                    transport.Changed();
                }
            }

            return Task.CompletedTask;
        }
    }
}
