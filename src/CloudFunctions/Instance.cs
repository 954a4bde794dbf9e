using Platform.Hosting;
using Platform.Messaging;

namespace Platform.CloudFunctions;

/// <summary>
/// This process's node, opened by the first invocation that needs it. It does nothing between invocations: no bus, no sealer, no projection runs.
/// </summary>
internal sealed class Instance : IAsyncDisposable
{
    private readonly SemaphoreSlim opening = new(1);
    private Node? node;

    /// <exception cref="StoreUnavailableException"/>
    public async Task<Node> Node(CancellationToken cancellation)
    {
        if (node is { } open) { return open; }
        await opening.WaitAsync(cancellation);
        try
        {
            return node ??= await Hosting.Node.Open(
                new NodeOptions(
                    Environment.GetEnvironmentVariable("PLATFORM_POSTGRES") ?? throw new StoreUnavailableException("PLATFORM_POSTGRES is not set: the connection string of the installation's PostgreSQL."),
                    Environment.GetEnvironmentVariable("PLATFORM_DATA") ?? Path.Combine(Path.GetTempPath(), "platform")),
                cancellation);
        }
        finally
        {
            opening.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (node is not null) { await node.DisposeAsync(); }
        opening.Dispose();
    }
}
