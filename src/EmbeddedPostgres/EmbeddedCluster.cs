using System.ComponentModel;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Npgsql;

namespace Platform.EmbeddedPostgres;

/// <summary>Where and how the private cluster lives.</summary>
/// <param name="DataFolder">The installation's data folder; the cluster is its subfolder <c>postgres</c>.</param>
/// <param name="BinariesFolder">PostgreSQL's programs; null: the machine's own, else the registry package.</param>
/// <param name="Progress">Told what takes long, for a person to read.</param>
public sealed record ClusterOptions(string DataFolder, string? BinariesFolder = null, Action<string>? Progress = null)
{
    /// <summary>Further settings, for tests: name to value.</summary>
    public IReadOnlyDictionary<string, string> Settings { get; init; } = new Dictionary<string, string>();
}

/// <summary>What <c>platform db status</c> shows.</summary>
/// <param name="Pid">Null: not running.</param>
public sealed record ClusterStatus(string DataFolder, bool Exists, int? Major, int? Pid, string? ServerVersion, string? BinariesVersion, string SocketFolder, long SizeBytes);

/// <summary>
/// A private PostgreSQL in the data folder: Unix socket, no port, peer authentication, checksums. The first process starts it, others share it,
/// the last one stops it; a process that is killed leaves it running for the next. A server that dies under those who use it is started again.
/// </summary>
public sealed class EmbeddedCluster : IAsyncDisposable
{
    private const string SuperUser = "platform";
    private const string Database = "platform";
    private const int Port = 5432;

    /// <summary>sun_path holds 108 bytes, the file's own name included (unix(7)).</summary>
    private const int MaxSocketFolderBytes = 80;

    private static readonly TimeSpan StartPatience = TimeSpan.FromMinutes(2);
    private static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(60);

    /// <summary>How soon a server that died is noticed; a look costs a file and a link.</summary>
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan BetweenAttempts = TimeSpan.FromSeconds(1);

    private readonly Layout layout;
    private readonly FileLock use;
    private readonly OperatingUser user;
    private readonly PostgresBinaries binaries;
    private readonly ClusterOptions options;
    private readonly CancellationTokenSource stopping = new();
    private readonly Task supervising;

    private EmbeddedCluster(Layout layout, FileLock use, OperatingUser user, PostgresBinaries binaries, ClusterOptions options, bool startedHere)
    {
        this.layout = layout;
        this.use = use;
        this.user = user;
        this.binaries = binaries;
        this.options = options;
        StartedHere = startedHere;
        supervising = Task.Run(Supervise);
    }

    public string ConnectionString => layout.ConnectionString(Database);

    /// <summary>False: another process had started it, and it is shared.</summary>
    public bool StartedHere { get; }

    public string SocketFolder => layout.Socket;

    /// <summary>Holds the cluster's data folder and its log.</summary>
    public string HomeFolder => layout.Home;

    public string Version => binaries.Version;

    /// <summary>The server's first process; null when it is not running.</summary>
    public int? Pid => layout.Postmaster();

    /// <summary>Starts the cluster, making it first where there is none, or joins the one that runs.</summary>
    /// <exception cref="ClusterException">It cannot be had; the message says why and what to do.</exception>
    public static async Task<EmbeddedCluster> Start(ClusterOptions options, CancellationToken cancellation)
    {
        if (!OperatingSystem.IsLinux()) { throw new ClusterException("The private PostgreSQL runs on Linux. Give --postgres CONNECTION to use one of your own."); }
        var progress = options.Progress ?? (_ => { });
        var layout = new Layout(Path.GetFullPath(options.DataFolder));
        var user = OperatingUser.Choose();
        await layout.Prepare(user, cancellation);

        using var starting = await FileLock.TakeExclusive(layout.StartLock, StartPatience, cancellation);
        var use = FileLock.TakeShared(layout.UseLock);
        try
        {
            var binaries = await PostgresBinaries.Find(layout.Major, Path.Combine(layout.Folder, "binaries"), options.BinariesFolder, progress, cancellation);
            if (layout.Major is null) { await Initialise(layout, binaries, user, progress, cancellation); }

            var running = layout.Postmaster() is not null;
            if (running && await layout.ServerVersion(cancellation) is { } serving && serving != binaries.Version)
            {
                // A minor upgrade replaced the programs under the server; loading its libraries now fails until it restarts.
                progress($"PostgreSQL was upgraded from {serving} to {binaries.Version} while it ran.");
                if (use.TryUpgrade())
                {
                    await StopServer(layout, binaries, user, cancellation);
                    use.Dispose();
                    use = FileLock.TakeShared(layout.UseLock);
                    running = false;
                }
                else
                {
                    progress("Other processes use it: stop them, then start again, to finish the upgrade.");
                }
            }

            if (!running) { await StartServer(layout, binaries, user, options, cancellation); }
            await layout.EnsureDatabase(Database, cancellation);
            return new EmbeddedCluster(layout, use, user, binaries, options, startedHere: !running);
        }
        catch
        {
            use.Dispose();
            throw;
        }
    }

    /// <summary>What is there, without starting anything.</summary>
    public static async Task<ClusterStatus> Status(string dataFolder, CancellationToken cancellation)
    {
        var layout = new Layout(Path.GetFullPath(dataFolder));
        var pid = Directory.Exists(layout.Data) ? layout.Postmaster() : null;
        var serving = pid is null ? null : await layout.ServerVersion(cancellation);
        string? installed = null;
        if (layout.LastBinaries is { } last) { installed = (await PostgresBinaries.Inspect(last, cancellation))?.Version; }
        var size = Directory.Exists(layout.Data) ? Size(new DirectoryInfo(layout.Data)) : 0;
        return new ClusterStatus(layout.Data, layout.Major is not null, layout.Major, pid, serving, installed, layout.Socket, size);
    }

    /// <summary>Stops the server when no other process uses it.</summary>
    /// <returns>False: others use it, it goes on.</returns>
    public async Task<bool> Stop(CancellationToken cancellation)
    {
        using var starting = await FileLock.TakeExclusive(layout.StartLock, StartPatience, cancellation);
        if (!use.TryUpgrade()) { return false; }
        await stopping.CancelAsync();
        if (layout.Postmaster() is not null) { await StopServer(layout, binaries, user, cancellation); }
        return true;
    }

    /// <summary>Keeps the server running when this process leaves, as <c>platform db start</c> asks.</summary>
    public bool KeepRunning
    {
        get => File.Exists(layout.KeepMark);
        set
        {
            if (value) { File.WriteAllText(layout.KeepMark, ""); }
            else { File.Delete(layout.KeepMark); }
        }
    }

    /// <summary>Leaves the cluster; the last one stops it, unless it is to keep running.</summary>
    public async ValueTask DisposeAsync()
    {
        try
        {
            NpgsqlConnection.ClearAllPools();
            await stopping.CancelAsync();
            await supervising;
            if (!KeepRunning) { await Stop(CancellationToken.None); }
        }
        finally
        {
            use.Dispose();
            stopping.Dispose();
        }
    }

    /// <summary>
    /// Nobody stops the server on purpose while it is used, so one that is gone has died: killed, out of memory, or with its disk full, where PostgreSQL gives up.
    /// It is started again as often as it takes; meanwhile the store answers that it is away.
    /// </summary>
    private async Task Supervise()
    {
        using var timer = new PeriodicTimer(LookEvery);
        try
        {
            for (string? told = null; await timer.WaitForNextTickAsync(stopping.Token);)
            {
                if (layout.Postmaster() is not null)
                {
                    told = null;
                    continue;
                }

                try
                {
                    using var starting = await FileLock.TakeExclusive(layout.StartLock, StartPatience, stopping.Token);
                    if (layout.Postmaster() is not null) { continue; }
                    if (told is null) { options.Progress?.Invoke(told = "PostgreSQL is gone; starting it again."); }
                    await StartServer(layout, binaries, user, options, stopping.Token);
                    options.Progress?.Invoke("PostgreSQL is back.");
                }
                // A program that is not there for a moment, as within an upgrade by the system, is a Win32Exception.
                catch (Exception failed) when (failed is ClusterException or IOException or UnauthorizedAccessException or Win32Exception)
                {
                    // Said once, not with every attempt.
                    if (told != failed.Message) { options.Progress?.Invoke(told = failed.Message); }
                    await Task.Delay(BetweenAttempts, stopping.Token);
                }
            }
        }
        catch (OperationCanceledException) { /* Left. */ }
    }

    private static async Task Initialise(Layout layout, PostgresBinaries binaries, OperatingUser user, Action<string> progress, CancellationToken cancellation)
    {
        progress($"Making a private PostgreSQL {binaries.Version} cluster in {layout.Data}");
        var fresh = Path.Combine(layout.Home, "making");
        if (Directory.Exists(fresh)) { Directory.Delete(fresh, recursive: true); }

        // Made beside and renamed, so that a cluster that exists is whole.
        var result = await Command.Run(
            binaries.Program("initdb"),
            ["-D", fresh, "-U", SuperUser, "-E", "UTF8", "--locale=C", "--auth-local=peer", "--auth-host=reject", "--data-checksums"],
            user,
            StartPatience,
            cancellation);
        if (result.ExitCode != 0)
        {
            if (Directory.Exists(fresh)) { Directory.Delete(fresh, recursive: true); }
            throw new ClusterException(result.Output.Contains("No space left", StringComparison.Ordinal)
                ? $"The disk of {layout.Home} is full: PostgreSQL needs about 60 MB to begin."
                : $"initdb failed in {layout.Home}:\n{result.Tail}");
        }

        await File.WriteAllTextAsync(Path.Combine(fresh, "pg_hba.conf"), $"# Written by platform: its socket, its users, nothing else.\nlocal all {SuperUser} peer map=platform\n", cancellation);
        await File.AppendAllTextAsync(Path.Combine(fresh, "postgresql.conf"), "\ninclude 'platform.conf'\n", cancellation);
        Directory.Move(fresh, layout.Data);
    }

    private static async Task StartServer(Layout layout, PostgresBinaries binaries, OperatingUser user, ClusterOptions options, CancellationToken cancellation)
    {
        layout.RemoveStalePid();
        var names = new[] { user.Name, OperatingUser.CurrentName }.Distinct();
        await File.WriteAllTextAsync(Path.Combine(layout.Data, "pg_ident.conf"), string.Concat(names.Select(name => $"platform \"{name}\" {SuperUser}\n")), cancellation);
        await File.WriteAllTextAsync(Path.Combine(layout.Data, "platform.conf"), Settings(layout, options), cancellation);
        await File.WriteAllTextAsync(layout.BinariesMark, binaries.Folder, cancellation);
        await user.Own(layout.Home, cancellation);

        var result = await Command.Run(
            binaries.Program("pg_ctl"),
            ["-D", layout.Data, "-l", layout.Log, "-w", "-t", "100", "-s", "start"],
            user,
            StartPatience,
            cancellation);
        if (result.ExitCode != 0) { throw new ClusterException(Explain(layout, result)); }
    }

    private static string Settings(Layout layout, ClusterOptions options)
    {
        var settings = new Dictionary<string, string>(StringComparer.Ordinal)
        {
            ["listen_addresses"] = "",
            ["port"] = Port.ToString(CultureInfo.InvariantCulture),
            ["unix_socket_directories"] = layout.Socket,
            // The folder's rights are open so that root and the server's user both pass; peer authentication decides who is let in.
            ["unix_socket_permissions"] = "0777",
            ["max_connections"] = "100",
            ["shared_buffers"] = "128MB",
            ["max_wal_size"] = "1GB",
            ["wal_compression"] = "on",
            ["log_min_messages"] = "warning",
            ["log_line_prefix"] = "%m [%p] %a ",
            // The one name that PostgreSQL knows by itself: a machine without tzdata has no file for UTC.
            ["timezone"] = "GMT",
            ["log_timezone"] = "GMT",
        };
        foreach (var (name, value) in options.Settings) { settings[name] = value; }
        var text = new StringBuilder("# Written by platform at each start; changes here are lost.\n");
        foreach (var (name, value) in settings) { text.Append(name).Append(" = '").Append(value.Replace("'", "''", StringComparison.Ordinal)).Append("'\n"); }
        return text.ToString();
    }

    private static async Task StopServer(Layout layout, PostgresBinaries binaries, OperatingUser user, CancellationToken cancellation)
    {
        var result = await Command.Run(binaries.Program("pg_ctl"), ["-D", layout.Data, "-m", "fast", "-w", "-t", "50", "-s", "stop"], user, StopPatience, cancellation);
        if (result.ExitCode != 0 && layout.Postmaster() is not null) { throw new ClusterException($"PostgreSQL did not stop: {result.Tail}"); }
    }

    private static string Explain(Layout layout, Command.Result result)
    {
        var log = File.Exists(layout.Log) ? string.Join('\n', File.ReadLines(layout.Log).TakeLast(12)) : "";
        var cause = (result.Output + log) switch
        {
            var text when text.Contains("No space left", StringComparison.Ordinal) => $"The disk of {layout.Home} is full: free some space, then start again; nothing is lost.",
            var text when text.Contains("incompatible with server", StringComparison.Ordinal) => "The cluster was made by another major version of PostgreSQL.",
            var text when text.Contains("wrong ownership", StringComparison.Ordinal) || text.Contains("Permission denied", StringComparison.Ordinal) => $"{layout.Data} belongs to another user: run platform as that user, or give the folder away with chown.",
            _ => "PostgreSQL did not start.",
        };
        return $"{cause}\nIts log ({layout.Log}) ends with:\n{log}";
    }

    private static long Size(DirectoryInfo folder)
    {
        long size = 0;
        foreach (var file in folder.EnumerateFiles("*", new EnumerationOptions { RecurseSubdirectories = true, IgnoreInaccessible = true }))
        {
            try { size += file.Length; }
            catch (FileNotFoundException) { /* PostgreSQL removes files of its own at any time. */ }
        }

        return size;
    }

    /// <summary>The cluster's paths, and what they say.</summary>
    internal sealed class Layout(string folder)
    {
        public string Folder => folder;

        public string Home => Path.Combine(folder, "postgres");

        public string Data => Path.Combine(Home, "data");

        public string Log => Path.Combine(Home, "server.log");

        public string StartLock => Path.Combine(folder, "postgres-start.lock");

        public string UseLock => Path.Combine(folder, "postgres-use.lock");

        public string KeepMark => Path.Combine(folder, "postgres-keep-running");

        public string BinariesMark => Path.Combine(Home, "binaries-folder");

        public string? LastBinaries => File.Exists(BinariesMark) ? File.ReadAllText(BinariesMark).Trim() : null;

        public string Socket { get; } = SocketFolderOf(folder);

        public int? Major
        {
            get
            {
                var file = Path.Combine(Data, "PG_VERSION");
                return File.Exists(file) && int.TryParse(File.ReadAllText(file).Trim(), out var major) ? major : null;
            }
        }

        public string ConnectionString(string database) => new NpgsqlConnectionStringBuilder
        {
            Host = Socket,
            Port = Port,
            Username = SuperUser,
            Database = database,
            ApplicationName = "platform",
            Timeout = 15,
        }.ConnectionString;

        public async Task Prepare(OperatingUser user, CancellationToken cancellation)
        {
            try
            {
                Directory.CreateDirectory(folder);
                Directory.CreateDirectory(Home);
                Directory.CreateDirectory(Socket);
                await user.Own(Home, cancellation);
                await user.Own(Socket, cancellation);
            }
            catch (Exception e) when (e is UnauthorizedAccessException or IOException)
            {
                throw new ClusterException($"Cannot make the data folder {folder}: {e.Message} Choose another with --data, or mend its rights.", e);
            }

            if (!await user.CanEnter(Home, cancellation))
            {
                throw new ClusterException($"As root, platform runs PostgreSQL as user '{user.Name}', who may not enter {Home}: a folder above it is closed to others. Choose another with --data (for example /var/lib/platform), or run as an ordinary user.");
            }
        }

        /// <summary>The pid of our server, if it lives: the pid file's process must be a postgres whose working folder is this cluster.</summary>
        public int? Postmaster()
        {
            var file = Path.Combine(Data, "postmaster.pid");
            try
            {
                if (!int.TryParse(File.ReadLines(file).FirstOrDefault(), out var pid)) { return null; }
                return Directory.ResolveLinkTarget($"/proc/{pid}/cwd", returnFinalTarget: true)?.FullName == Path.GetFullPath(Data) ? pid : null;
            }
            // Somebody else's process cannot be our server: that runs as this user, or this user is root and may look.
            catch (Exception e) when (e is IOException or UnauthorizedAccessException) { return null; }
        }

        /// <summary>After a crash the pid may belong to another program by now; PostgreSQL would refuse to start.</summary>
        public void RemoveStalePid()
        {
            if (Postmaster() is not null) { return; }
            File.Delete(Path.Combine(Data, "postmaster.pid"));
            File.Delete(Path.Combine(Socket, $".s.PGSQL.{Port}.lock"));
            File.Delete(Path.Combine(Socket, $".s.PGSQL.{Port}"));
        }

        public async Task<string?> ServerVersion(CancellationToken cancellation)
        {
            try
            {
                await using var connection = await Open("postgres", cancellation);
                return connection.PostgreSqlVersion.ToString();
            }
            catch (Exception e) when (e is NpgsqlException or TimeoutException) { return null; }
        }

        public async Task EnsureDatabase(string database, CancellationToken cancellation)
        {
            try
            {
                await using var connection = await Open("postgres", cancellation);
                await using var ask = new NpgsqlCommand("select 1 from pg_database where datname = $1", connection) { Parameters = { new() { Value = database } } };
                if (await ask.ExecuteScalarAsync(cancellation) is not null) { return; }
#pragma warning disable CA2100 // The name is a constant of this file.
                await using var make = new NpgsqlCommand($"create database {database}", connection);
#pragma warning restore CA2100
                await make.ExecuteNonQueryAsync(cancellation);
            }
            catch (NpgsqlException e)
            {
                throw new ClusterException($"PostgreSQL runs in {Data} but does not let us in: {e.Message}", e);
            }
        }

        private async Task<NpgsqlConnection> Open(string database, CancellationToken cancellation)
        {
            var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(ConnectionString(database)) { Pooling = false }.ConnectionString);
            await connection.OpenAsync(cancellation);
            return connection;
        }

        private static string SocketFolderOf(string folder)
        {
            var inside = Path.Combine(folder, "postgres", "socket");
            if (Encoding.UTF8.GetByteCount(inside) <= MaxSocketFolderBytes) { return inside; }
            var name = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(folder)))[..16];
            return Path.Combine("/tmp", $"platform-{name}");
        }
    }
}
