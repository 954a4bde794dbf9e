using Platform.EmbeddedPostgres;
using Platform.Hosting;
using Platform.Messaging;
using Platform.SelfHost.Cli;

namespace Platform.SelfHost;

/// <summary>This machine's installation for the time of one command: its PostgreSQL, and a node on it.</summary>
internal sealed class Installation : IAsyncDisposable
{
    private readonly EmbeddedCluster? cluster;

    private Installation(Node node, EmbeddedCluster? cluster, Settings settings)
    {
        Node = node;
        this.cluster = cluster;
        Settings = settings;
        Runs = new Runs(node);
    }

    public Node Node { get; }

    public Runs Runs { get; }

    public Settings Settings { get; }

    public TenantId Tenant => Settings.Tenant;

    public Terminal Terminal => Settings.Terminal;

    /// <summary>Who asks, for the audit trail.</summary>
    public static string User => Environment.UserName;

    /// <exception cref="ClusterException"/>
    /// <exception cref="StoreUnavailableException"/>
    public static async Task<Installation> Open(Settings settings, CancellationToken cancellation)
    {
        var cluster = settings.Postgres is null ? await EmbeddedCluster.Start(new ClusterOptions(settings.DataFolder, Environment.GetEnvironmentVariable("PLATFORM_POSTGRES_BIN"), settings.Terminal.Note), cancellation) : null;
        try
        {
            var options = new NodeOptions(settings.Postgres ?? cluster!.ConnectionString, settings.DataFolder)
            {
                AnchorFile = Environment.GetEnvironmentVariable("PLATFORM_ANCHOR") is { Length: > 0 } anchor ? anchor : Path.Combine(settings.DataFolder, "audit-anchor.txt"),
            };
            return new Installation(await Node.Open(options, cancellation), cluster, settings);
        }
        catch
        {
            if (cluster is not null) { await cluster.DisposeAsync(); }
            throw;
        }
    }

    /// <summary>A run's id as a person gives it.</summary>
    /// <exception cref="ProblemException">It is no UUID.</exception>
    public static Domain.Daemons.RunId RunId(string text) => Guid.TryParse(text, out var id)
        ? Domain.Daemons.RunId.From(id)
        : throw new ProblemException(new Problem("run.invalid-id", $"'{text}' is no run id. `platform runs` lists them."));

    /// <summary>A run's events so far.</summary>
    /// <exception cref="ProblemException">There is no such run.</exception>
    public async Task<IReadOnlyList<RecordedEvent>> Events(Domain.Daemons.RunId run, CancellationToken cancellation)
    {
        var events = new List<RecordedEvent>();
        await foreach (var recorded in Node.Store.Fetch(Tenant, run.Value, cancellation: cancellation)) { events.Add(recorded); }
        return events.Count > 0 ? events : throw new ProblemException(new Problem("run.not-found", $"There is no run {run}. `platform runs` lists them.", 404));
    }

    public async ValueTask DisposeAsync()
    {
        await Node.DisposeAsync();
        if (cluster is not null) { await cluster.DisposeAsync(); }
    }
}
