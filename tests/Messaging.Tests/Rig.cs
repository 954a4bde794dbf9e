using Platform.Tests.Counting;

namespace Platform.Messaging.Tests;

/// <summary>Buses on one store, and the world behind their handlers.</summary>
public abstract class Rig : IAsyncDisposable
{
    protected static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private readonly List<Bus> buses = [];

    protected static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    protected CounterId Id { get; } = new(Guid.NewGuid());

    /// <summary>A node that is already running.</summary>
    protected async Task<Bus> Node(IEventStreams streams, IMessageStore messages, Func<Step, CancellationToken, Task<int>> roll, string name = "node", TimeProvider? time = null, Func<BusOptions, BusOptions>? with = null)
    {
        var bus = Quiet(streams, messages, roll, name, time, with);
        await bus.Start(Cancellation);
        return bus;
    }

    /// <summary>One that runs commands and nothing else.</summary>
    protected Bus Quiet(IEventStreams streams, IMessageStore messages, Func<Step, CancellationToken, Task<int>> roll, string name = "node", TimeProvider? time = null, Func<BusOptions, BusOptions>? with = null)
    {
        var options = new BusOptions { NodeName = name, RejoinEvery = TimeSpan.FromMilliseconds(20) };
        var bus = new Bus(Handlers.Table, streams, messages, new World(roll), time ?? TimeProvider.System, Guid.CreateVersion7, with is null ? options : with(options));
        buses.Add(bus);
        return bus;
    }

    protected static Task<int> One(Step step, CancellationToken cancellation) => Task.FromResult(1);

    protected static Task<CommandAnswer> Ask(Bus bus, object command, string? commandId = null) =>
        bus.Invoke(command, new InvokeOptions(TenantId.Default, commandId), Cancellation);

    protected static async Task<Counter?> Counter(IEventStreams streams, CounterId id) =>
        (await streams.Load(TenantId.Default, id.Value, Folds.Counter, Cancellation)).State;

    /// <summary>Looks until it is so; a deadline far beyond any machine's slowness ends a test that would wait for ever.</summary>
    protected static async Task Until(Func<Task<bool>> so)
    {
        using var deadline = new CancellationTokenSource(Patience);
        while (!await so()) { await Task.Delay(5, deadline.Token); }
    }

    protected static Task Until(Func<bool> so) => Until(() => Task.FromResult(so()));

    public virtual async ValueTask DisposeAsync()
    {
        foreach (var bus in buses) { await bus.DisposeAsync(); }
        GC.SuppressFinalize(this);
    }

    private sealed class World(Func<Step, CancellationToken, Task<int>> roll) : IServiceProvider, IDice
    {
        public object? GetService(Type serviceType) => serviceType == typeof(IDice) ? this : null;

        public Task<int> Roll(Step step, CancellationToken cancellation) => roll(step, cancellation);
    }
}
