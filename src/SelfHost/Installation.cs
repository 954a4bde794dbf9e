using Platform.Domain.Daemons;
using Platform.EmbeddedPostgres;
using Platform.EventStore.Projections;
using Platform.Hosting;
using Platform.Messaging;
using Platform.SelfHost.Cli;

namespace Platform.SelfHost;

/// <summary>This machine's installation for the time of one command: its PostgreSQL, and a node on it.</summary>
internal sealed class Installation : IAsyncDisposable
{
    /// <summary>Of a run's id: fewer characters fit too many.</summary>
    private const int MinShort = 4;

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

    /// <summary>A run as a person names it: its id, the beginning or end of one of the newest, or <c>last</c>.</summary>
    /// <exception cref="ProblemException">It names none, or several.</exception>
    public async Task<RunId> Run(string text, CancellationToken cancellation)
    {
        if (Guid.TryParse(text, out var id)) { return RunId.From(id); }
        var last = text == "last";
        if (!last && (text.Length is < MinShort or > 36 || !text.All(c => char.IsAsciiHexDigit(c) || c == '-')))
        {
            throw new ProblemException(new Problem("run.invalid-id", $"'{Terminal.Safe(text)}' names no run: give its id, the beginning or end of it, or 'last'. `platform runs` lists them."));
        }

        var newest = (await Runs.List(Tenant, null, null, null, last ? 1 : Documents.MaxPage, cancellation)).Items;
        var fitting = newest.Where(run => last || run.RunId.StartsWith(text, StringComparison.OrdinalIgnoreCase) || run.RunId.EndsWith(text, StringComparison.OrdinalIgnoreCase)).Take(2).ToList();
        return fitting.Count switch
        {
            1 => RunId.From(Guid.Parse(fitting[0].RunId)),
            0 => throw new ProblemException(new Problem("run.not-found", last ? "There is no run yet." : $"None of the newest runs has an id that begins or ends with '{text}'. `platform runs` lists them.", 404)),
            _ => throw new ProblemException(new Problem("run.ambiguous", $"Several runs have an id that begins or ends with '{text}', for example {fitting[0].RunId} and {fitting[1].RunId}: give more of it.")),
        };
    }

    /// <summary>A run's events so far.</summary>
    /// <exception cref="ProblemException">There is no such run.</exception>
    public async Task<IReadOnlyList<RecordedEvent>> Events(RunId run, CancellationToken cancellation)
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
