using Npgsql;
using Platform.Domain.Audit;
using Platform.EmbeddedPostgres;
using Platform.EventStore;

namespace Platform.Bench;

/// <summary>A private PostgreSQL with the product's own settings, and a fresh database for each part.</summary>
internal sealed class Ground : IAsyncDisposable
{
    private readonly EmbeddedCluster cluster;
    private int disposed;

    private Ground(Settings settings, EmbeddedCluster cluster)
    {
        Settings = settings;
        this.cluster = cluster;
        Cpu = new CpuClock(cluster.Pid ?? throw new InvalidOperationException("The server does not run."));
    }

    public Settings Settings { get; }

    public CpuClock Cpu { get; }

    public string Version => cluster.Version;

    public string Folder => Settings.DataFolder;

    public static async Task<Ground> Start(Settings settings)
    {
        Directory.CreateDirectory(settings.DataFolder);
        var kind = new DriveInfo(settings.DataFolder).DriveFormat;
        if (kind is "tmpfs" or "ramfs") { throw new InvalidOperationException($"{settings.DataFolder} is on {kind}: a commit there reaches no disk. Give --data a folder on one."); }
        return new Ground(settings, await EmbeddedCluster.Start(new ClusterOptions(settings.DataFolder), CancellationToken.None));
    }

    public async Task<string> Database(string name)
    {
        await using var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(cluster.ConnectionString) { Pooling = false }.ConnectionString);
        await connection.OpenAsync();
        await using var make = new NpgsqlCommand($"create database bench_{name}", connection);
        await make.ExecuteNonQueryAsync();
        return new NpgsqlConnectionStringBuilder(cluster.ConnectionString) { Database = $"bench_{name}" }.ConnectionString;
    }

    /// <summary>A source as a node makes it.</summary>
    public static NpgsqlDataSource Source(string connectionString) => NpgsqlDataSource.Create(new NpgsqlConnectionStringBuilder(connectionString)
    {
        NoResetOnClose = true,
        MaxAutoPrepare = 60,
        AutoPrepareMinUsages = 2,
        Timeout = 5,
        MaxPoolSize = 40,
    });

    /// <summary>A store with the options that a node gives it, redaction included.</summary>
    public static Task<Store> Store(NpgsqlDataSource source) =>
        Platform.EventStore.Store.Open(new StoreOptions { DataSource = source, EventTypes = Note.Types, Redact = new Redaction([]).Apply });

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref disposed, 1) != 0) { return; }
        await cluster.DisposeAsync();
        Directory.Delete(Settings.DataFolder, recursive: true);
    }
}
