using System.CommandLine;
using System.Text.Json.Nodes;
using Platform.EmbeddedPostgres;
using Platform.Messaging;

namespace Platform.SelfHost.Cli;

/// <summary><c>platform db</c>: the private PostgreSQL.</summary>
internal static class DatabaseCommands
{
    public static Command Create(Commands commands)
    {
        var file = new Argument<string>("FILE") { Description = "The backup, a .tar.gz." };
        var database = new Command("db", "The private PostgreSQL of the data folder.");
        database.Add(commands.Add("status", "Whether it runs, and where it is.", [], ["db status --json"], (_, settings, stop) => Status(settings, stop)));
        database.Add(commands.Add("start", "Start it, and leave it running.", [], ["db start"], (_, settings, stop) => Start(settings, stop)));
        database.Add(commands.Add("stop", "Stop it, unless another process uses it.", [], ["db stop"], (_, settings, stop) => Stop(settings, stop)));
        database.Add(commands.Add("backup", "Copy it whole into one file, while it serves.", [file], ["db backup backup.tar.gz"], (parse, settings, stop) => Backup(settings, parse.GetValue(file)!, stop)));
        database.Add(commands.Add("restore", "Put a backup in its place; the old cluster is kept beside it.", [file], ["db restore backup.tar.gz"], (parse, settings, stop) => Restore(settings, parse.GetValue(file)!, stop)));
        return database;
    }

    private static async Task<int> Status(Settings settings, CancellationToken stop)
    {
        var status = await EmbeddedCluster.Status(Private(settings), stop);
        if (settings.Terminal.Json)
        {
            settings.Terminal.Document(new JsonObject
            {
                ["dataFolder"] = status.DataFolder,
                ["exists"] = status.Exists,
                ["major"] = status.Major,
                ["pid"] = status.Pid,
                ["serverVersion"] = status.ServerVersion,
                ["binariesVersion"] = status.BinariesVersion,
                ["socketFolder"] = status.SocketFolder,
                ["sizeBytes"] = status.SizeBytes,
            });
            return ExitCode.Done;
        }

        var terminal = settings.Terminal;
        if (!status.Exists)
        {
            terminal.Line($"No cluster in {status.DataFolder} yet; the first command that needs one makes it.");
            return ExitCode.Done;
        }

        terminal.Line(status.Pid is { } pid ? $"Running, pid {pid}, PostgreSQL {status.ServerVersion ?? "(not answering)"}" : $"Stopped, made by PostgreSQL {status.Major}");
        terminal.Line($"  data    {status.DataFolder} ({status.SizeBytes / 1_000_000} MB)");
        terminal.Line($"  socket  {status.SocketFolder}");
        if (status.ServerVersion is not null && status.BinariesVersion is not null && status.ServerVersion != status.BinariesVersion)
        {
            terminal.Line($"  The programs are {status.BinariesVersion} by now: restart it with `platform db stop` and `platform db start`.");
        }

        return ExitCode.Done;
    }

    private static async Task<int> Start(Settings settings, CancellationToken stop)
    {
        await using var cluster = await EmbeddedCluster.Start(new ClusterOptions(Private(settings), Progress: settings.Terminal.Note), stop);
        cluster.KeepRunning = true;
        settings.Terminal.Say(
            cluster.StartedHere ? $"Started PostgreSQL {cluster.Version}." : $"PostgreSQL {cluster.Version} was running.",
            new JsonObject { ["started"] = cluster.StartedHere, ["serverVersion"] = cluster.Version });
        return ExitCode.Done;
    }

    private static async Task<int> Stop(Settings settings, CancellationToken stop)
    {
        var status = await EmbeddedCluster.Status(Private(settings), stop);
        if (status.Pid is null)
        {
            settings.Terminal.Say("It is not running.", new JsonObject { ["stopped"] = false });
            return ExitCode.Done;
        }

        await using var cluster = await EmbeddedCluster.Start(new ClusterOptions(Private(settings), Progress: settings.Terminal.Note), stop);
        cluster.KeepRunning = false;
        if (await cluster.Stop(stop))
        {
            settings.Terminal.Say("Stopped.", new JsonObject { ["stopped"] = true });
            return ExitCode.Done;
        }

        settings.Terminal.Fail("db.in-use", "Another platform process uses it; it stops with the last of them.");
        return ExitCode.Failed;
    }

    private static async Task<int> Backup(Settings settings, string file, CancellationToken stop)
    {
        await using var cluster = await EmbeddedCluster.Start(new ClusterOptions(Private(settings), Progress: settings.Terminal.Note), stop);
        var size = await ClusterBackup.Create(cluster, Path.GetFullPath(file), settings.Terminal.Note, stop);
        settings.Terminal.Say(
            FormattableString.Invariant($"Backed up to {file} ({size / 1_000_000.0:0.0} MB). The key, the contents and the anchor file of the data folder are files: copy them too."),
            new JsonObject { ["file"] = Path.GetFullPath(file), ["sizeBytes"] = size });
        return ExitCode.Done;
    }

    private static async Task<int> Restore(Settings settings, string file, CancellationToken stop)
    {
        if (!File.Exists(file)) { throw new ProblemException(new Problem("db.no-backup", $"There is no file {file}.")); }
        var kept = await ClusterBackup.Restore(Private(settings), Path.GetFullPath(file), TimeProvider.System.GetUtcNow(), stop);
        settings.Terminal.Say(kept is null ? "Restored." : $"Restored. The cluster that was there is kept in {kept}.", new JsonObject { ["restored"] = true, ["kept"] = kept });
        return ExitCode.Done;
    }

    private static string Private(Settings settings) => settings.Postgres is null
        ? settings.DataFolder
        : throw new ProblemException(new Problem("db.not-private", "--postgres names a server of your own: start, stop and back it up with its own tools."));
}
