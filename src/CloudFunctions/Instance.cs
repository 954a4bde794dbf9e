using Platform.EventStore.Sealing;
using Platform.Hosting;
using Platform.Messaging;

namespace Platform.CloudFunctions;

/// <summary>
/// This process's node, opened by the first invocation that needs it. Between invocations it does nothing: no bus, no sealer, no projection runs. While any
/// invocation is under way it seals, or waits for another instance that does: an undo plans by what is sealed, and nobody else might be there to do it.
/// </summary>
internal sealed class Instance(Settings settings) : IAsyncDisposable
{
    private readonly SemaphoreSlim gate = new(1);
    private volatile Node? node;
    private Sealer? sealer;
    private int inside;

    /// <summary>Null until the first invocation has opened it.</summary>
    public Node? Node => node;

    /// <exception cref="StoreUnavailableException"/>
    public async Task<Entered> Enter(CancellationToken cancellation)
    {
        await gate.WaitAsync(cancellation);
        try
        {
            if (node is null)
            {
                var opened = await Node.Open(new NodeOptions(settings.Postgres, settings.DataFolder) { AnchorFile = settings.Anchor }, cancellation);

                // A cancellation elsewhere is to be heard from the first stage on.
                await opened.Store.Listener.Start().WaitAsync(cancellation);
                node = opened;
            }

            if (inside++ == 0) { sealer = Sealer.Start(node.Store); }
            return new Entered(node, Leave);
        }
        finally
        {
            gate.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (sealer is not null) { await sealer.DisposeAsync(); }
        if (node is not null) { await node.DisposeAsync(); }
        gate.Dispose();
    }

    private async ValueTask Leave()
    {
        await gate.WaitAsync();
        try
        {
            if (--inside > 0) { return; }
            await sealer!.DisposeAsync();
            sealer = null;
        }
        finally
        {
            gate.Release();
        }
    }
}

/// <summary>An invocation's stay in this instance.</summary>
internal sealed class Entered(Node node, Func<ValueTask> leave) : IAsyncDisposable
{
    public Node Node => node;

    public ValueTask DisposeAsync() => leave();
}
