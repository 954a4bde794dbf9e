using Microsoft.Extensions.DependencyInjection;
using Npgsql;
using Platform.Capabilities.Blobs;
using Platform.Capabilities.Scripts;
using Platform.Domain.Audit;
using Platform.Domain.Capabilities;
using Platform.Domain.Capabilities.Undoing;
using Platform.Domain.Daemons;
using Platform.Domain.Inference;
using Platform.EventStore;
using Platform.EventStore.Audit;
using Platform.EventStore.Projections;
using Platform.EventStore.Sealing;
using Platform.EventStore.Subscriptions;
using Platform.Inference.Local;
using Platform.Messaging;

namespace Platform.Hosting;

/// <summary>What a node needs to know.</summary>
/// <param name="ConnectionString">Of the PostgreSQL that holds everything.</param>
/// <param name="DataFolder">Before-images, the audit key, the anchor file.</param>
public sealed record NodeOptions(string ConnectionString, string DataFolder)
{
    public string Name { get; init; } = $"{Environment.MachineName}/{Environment.ProcessId}";

    public string Schema { get; init; } = "public";

    /// <summary>Where signed checkpoints are appended; best on another machine.</summary>
    public string? AnchorFile { get; init; }

    /// <summary>Values that must never be stored, from the secret store.</summary>
    public IReadOnlyList<string> Secrets { get; init; } = [];

    public ScriptSandboxOptions Sandbox { get; init; } = new();

    public TextEmbedderOptions Embedding { get; init; } = new();

    public TimeProvider Time { get; init; } = TimeProvider.System;
}

/// <summary>One process of an installation, put together once for both hosts: the store, the bus, the capabilities, the read models, the audit trail.</summary>
public sealed class Node : IAsyncDisposable
{
    private static readonly TimeSpan CheckpointEvery = TimeSpan.FromMinutes(1);

    /// <summary>A step of a run looks at what the step before it has just committed here. What another node commits is seen this much later at most, or when it interrupts.</summary>
    private static readonly TimeSpan TrustMemory = TimeSpan.FromMilliseconds(100);

    private readonly NpgsqlDataSource source;
    private readonly ServiceProvider services;
    private readonly CancellationTokenSource stop = new();
    private Sealer? sealer;
    private ProjectionRunner? projections;
    private ReadingMonitor? monitor;
    private SubscriptionRunner? subscriptions;
    private Task? signing;

    private Node(NodeOptions options, NpgsqlDataSource source, Store store, ServiceProvider services)
    {
        Options = options;
        this.source = source;
        this.services = services;
        Store = store;
        Messages = new MessageStore(store);
        Documents = new Documents(store);
        Key = CheckpointKey.LoadOrCreate(Path.Combine(options.DataFolder, "audit-key.pem"));
        Checkpoints = new Checkpoints(store, Key, options.AnchorFile);
        Bus = new Bus(Table, store, Messages, services, options.Time, () => Guid.CreateVersion7(options.Time.GetUtcNow()), new BusOptions { NodeName = options.Name });
        Embedders = new TextEmbedders(store, Bus, options.DataFolder, options.Embedding);
    }

    /// <summary>Everything that handles or happens, as the generator found it.</summary>
    public static HandlerTable Table { get; } = Domain.Handlers.Table;

    public static IReadOnlyList<Projection> Projections { get; } = [Platform.Projections.RunList.Projection];

    public NodeOptions Options { get; }

    public Store Store { get; }

    public MessageStore Messages { get; }

    public Bus Bus { get; }

    public Documents Documents { get; }

    public CheckpointKey Key { get; }

    public Checkpoints Checkpoints { get; }

    public ICapabilityRegistry Capabilities => services.GetRequiredService<ICapabilityRegistry>();

    public IEffectHistory Effects => services.GetRequiredService<IEffectHistory>();

    public IAgentModel Agent => services.GetRequiredService<IAgentModel>();

    public TextEmbedders Embedders { get; }

    public ScriptSandbox Sandbox => (ScriptSandbox)services.GetRequiredService<IScriptSandbox>();

    /// <summary>Null until <see cref="StartReading"/>.</summary>
    public ProjectionRunner? ProjectionRunner => projections;

    /// <summary>Opens the store, making its tables where they are not. Nothing runs yet.</summary>
    /// <exception cref="StoreUnavailableException"/>
    public static async Task<Node> Open(NodeOptions options, CancellationToken cancellation)
    {
        Directory.CreateDirectory(options.DataFolder);
        var redaction = new Redaction(options.Secrets);
        var source = NpgsqlDataSource.Create(new NpgsqlConnectionStringBuilder(options.ConnectionString)
        {
            NoResetOnClose = true,
            MaxAutoPrepare = 60,
            AutoPrepareMinUsages = 2,
            Timeout = 5,
            MaxPoolSize = 40,
            ApplicationName = "platform",
        });
        try
        {
            var store = await Store.Open(
                new StoreOptions
                {
                    DataSource = source,
                    Schema = options.Schema,
                    EventTypes = Table.EventTypes(),
                    Projections = Projections,
                    Redact = redaction.Apply,
                    Time = options.Time,
                    TrustMemory = TrustMemory,
                },
                cancellation);
            return new Node(options, source, store, Services(options, store));
        }
        catch
        {
            await source.DisposeAsync();
            throw;
        }
    }

    /// <summary>Begins to seal and to project, together with whatever other nodes there are, so that read models are up to date. Asked again it does nothing.</summary>
    public void StartReading()
    {
        if (sealer is not null) { return; }
        sealer = Sealer.Start(Store);
        projections = ProjectionRunner.Start(Store, Projections);
        monitor = ReadingMonitor.Start(Store, projections);
        signing = Task.Run(() => SignNowAndThen(stop.Token), CancellationToken.None);
    }

    /// <summary>Begins to handle messages too: new ones, and those that a dead node left.</summary>
    public async Task StartWorking(CancellationToken cancellation)
    {
        StartReading();
        await Bus.Start(cancellation);
        subscriptions = SubscriptionRunner.Start(Store, Subscriptions());
    }

    /// <summary>Signs what has been sealed so far.</summary>
    public Task<int> Sign(CancellationToken cancellation) => Checkpoints.Sign(Options.Time.GetUtcNow(), cancellation);

    public async ValueTask DisposeAsync()
    {
        if (subscriptions is not null) { await subscriptions.DisposeAsync(); }
        await Embedders.DisposeAsync();
        await Bus.Drain(TimeSpan.FromSeconds(10));
        await Bus.DisposeAsync();
        await stop.CancelAsync();
        if (signing is not null) { await signing; }
        if (monitor is not null) { await monitor.DisposeAsync(); }
        if (projections is not null) { await projections.DisposeAsync(); }
        if (sealer is not null) { await sealer.DisposeAsync(); }
        await Store.DisposeAsync();
        await services.DisposeAsync();
        await source.DisposeAsync();
        Key.Dispose();
        stop.Dispose();
    }

    /// <summary>Our own handlers of events, where there are any.</summary>
    private IReadOnlyList<Subscription> Subscriptions() =>
        Table.Messages.Any(message => Table.Events.Any(happened => happened.ClrType == message.ClrType)) ? [new Subscription("handlers", Bus.React)] : [];

    private static ServiceProvider Services(NodeOptions options, Store store)
    {
        var contents = new ContentStore(Path.Combine(options.DataFolder, "contents"));
        return new ServiceCollection()
            .AddSingleton(options.Time)
            .AddSingleton(contents)
            .AddSingleton<ICapabilityRegistry>(_ => BuiltIn.Capabilities(contents))
            .AddSingleton<IAgentModel>(_ => new LocalAgent())
            .AddSingleton<IScriptSandbox>(_ => new ScriptSandbox(options.Sandbox))
            .AddSingleton<IEventStreams>(store)
            .AddSingleton<IEffectHistory>(_ => new LogEffectHistory(store))
            .BuildServiceProvider();
    }

    private async Task SignNowAndThen(CancellationToken cancellation)
    {
        using var timer = new PeriodicTimer(CheckpointEvery, Options.Time);
        try
        {
            while (await timer.WaitForNextTickAsync(cancellation))
            {
                // A database that is away, or an anchor that cannot be written, is tried again with the next minute; `audit verify` shows what is not signed.
                try { await Sign(cancellation); }
                catch (Exception e) when (e is StoreUnavailableException or IOException or NpgsqlException) { continue; }
            }
        }
        catch (OperationCanceledException) { /* Stopped. */ }
    }
}
