using System.Formats.Tar;
using System.Globalization;
using System.IO.Compression;
using System.Text;
using Npgsql;

namespace Platform.EmbeddedPostgres;

/// <summary>
/// A whole copy of the private cluster in one .tar.gz, taken while it serves (PostgreSQL's low-level backup API, chapter 26.3.4 of its manual),
/// with the write-ahead log that makes it consistent. Needs none of PostgreSQL's client programs.
/// </summary>
public static class ClusterBackup
{
    private const long MaxEntries = 1_000_000;

    // The manual's list of what a base backup leaves out.
    private static readonly string[] EmptyFolders = ["pg_wal", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans"];
    private static readonly string[] LeftOut = ["postmaster.pid", "postmaster.opts", "backup_label", "backup_manifest", "tablespace_map"];

    /// <summary>Writes the backup beside its name and renames it once it is whole and on disk.</summary>
    /// <returns>The file's size in bytes.</returns>
    public static async Task<long> Create(EmbeddedCluster cluster, string file, Action<string> progress, CancellationToken cancellation)
    {
        var unfinished = file + ".unfinished";
        var data = Path.Combine(cluster.HomeFolder, "data");
        await using var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(cluster.ConnectionString) { Pooling = false, CommandTimeout = 0 }.ConnectionString);
        await connection.OpenAsync(cancellation);
        var old = connection.PostgreSqlVersion.Major < 15;

        // The slot keeps the log from being recycled under us; it is temporary, so it goes with this connection.
        await Ask(connection, "select pg_create_physical_replication_slot('platform_backup_' || pg_backend_pid(), true, true)", cancellation);
        await Ask(connection, old ? "select pg_start_backup('platform', true, false)" : "select pg_backup_start('platform', true)", cancellation);
        try
        {
            await using (var target = new FileStream(unfinished, new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite }))
            await using (var zipped = new GZipStream(target, CompressionLevel.Fastest))
            await using (var tar = new TarWriter(zipped, TarEntryFormat.Pax))
            {
                await AddFolder(tar, data, data, progress, cancellation);
                var (stop, label) = await Finish(connection, old, cancellation);
                await AddText(tar, "backup_label", label, cancellation);
                await AddLog(tar, data, label, stop, cancellation);
            }

            File.Move(unfinished, file, overwrite: true);
            return new FileInfo(file).Length;
        }
        finally
        {
            File.Delete(unfinished);
        }
    }

    /// <summary>Puts a backup in the place of the cluster, which must not be running; the old cluster is kept beside it.</summary>
    /// <returns>Where the old cluster is kept; null when there was none.</returns>
    /// <exception cref="ClusterException"/>
    public static async Task<string?> Restore(string dataFolder, string file, DateTimeOffset now, CancellationToken cancellation)
    {
        var layout = new EmbeddedCluster.Layout(Path.GetFullPath(dataFolder));
        var user = OperatingUser.Choose();
        await layout.Prepare(user, cancellation);
        using var starting = await FileLock.TakeExclusive(layout.StartLock, TimeSpan.FromSeconds(30), cancellation);
        if (layout.Postmaster() is { } pid) { throw new ClusterException($"PostgreSQL is running (pid {pid}). Stop it first: platform db stop."); }

        var fresh = Path.Combine(layout.Home, "restoring");
        if (Directory.Exists(fresh)) { Directory.Delete(fresh, recursive: true); }
        try
        {
            await Unpack(file, fresh, cancellation);
            if (!File.Exists(Path.Combine(fresh, "PG_VERSION")) || !File.Exists(Path.Combine(fresh, "backup_label")))
            {
                throw new ClusterException($"{file} is no backup made by `platform db backup`.");
            }

            string? kept = null;
            if (Directory.Exists(layout.Data))
            {
                kept = Path.Combine(layout.Home, $"data-before-{now.ToString("yyyyMMddTHHmmssZ", CultureInfo.InvariantCulture)}");
                Directory.Move(layout.Data, kept);
            }

            Directory.Move(fresh, layout.Data);
            await user.Own(layout.Home, cancellation);
            return kept;
        }
        catch (Exception e) when (e is InvalidDataException or EndOfStreamException)
        {
            throw new ClusterException($"{file} is damaged: {e.Message} Nothing was changed.", e);
        }
        finally
        {
            if (Directory.Exists(fresh)) { Directory.Delete(fresh, recursive: true); }
        }
    }

    private static async Task Unpack(string file, string folder, CancellationToken cancellation)
    {
        const UnixFileMode closed = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        Directory.CreateDirectory(folder, closed | UnixFileMode.UserExecute);
        await using var source = File.OpenRead(file);
        await using var unzipped = new GZipStream(source, CompressionMode.Decompress);
        await using var reader = new TarReader(unzipped);
        var count = 0L;
        while (await reader.GetNextEntryAsync(cancellationToken: cancellation) is { } entry)
        {
            if (++count > MaxEntries) { throw new ClusterException($"{file} holds more than {MaxEntries} entries."); }
            var path = Path.GetFullPath(Path.Combine(folder, entry.Name));
            if (!path.StartsWith(folder + "/", StringComparison.Ordinal)) { throw new ClusterException($"{file} names a path outside the cluster: {entry.Name}"); }
            if (entry.EntryType == TarEntryType.Directory) { Directory.CreateDirectory(path, closed | UnixFileMode.UserExecute); }
            else if (entry.EntryType == TarEntryType.RegularFile)
            {
                Directory.CreateDirectory(Path.GetDirectoryName(path)!, closed | UnixFileMode.UserExecute);
                await entry.ExtractToFileAsync(path, overwrite: false, cancellation);
                File.SetUnixFileMode(path, closed);
            }
        }
    }

    private static async Task AddFolder(TarWriter tar, string root, string folder, Action<string> progress, CancellationToken cancellation)
    {
        foreach (var entry in new DirectoryInfo(folder).EnumerateFileSystemInfos().OrderBy(e => e.Name, StringComparer.Ordinal))
        {
            var name = Path.GetRelativePath(root, entry.FullName);
            if (entry is DirectoryInfo inner)
            {
                await tar.WriteEntryAsync(new PaxTarEntry(TarEntryType.Directory, name), cancellation);
                if (EmptyFolders.Contains(name)) { continue; }
                if (folder == root) { progress($"  {name}"); }
                await AddFolder(tar, root, inner.FullName, progress, cancellation);
            }
            else if (!(folder == root && LeftOut.Contains(name)) && !entry.Name.StartsWith("pgsql_tmp", StringComparison.Ordinal))
            {
                await AddFile(tar, entry.FullName, name, cancellation);
            }
        }
    }

    private static async Task AddFile(TarWriter tar, string path, string name, CancellationToken cancellation)
    {
        try
        {
            await using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            await using var still = new FixedLengthStream(file, file.Length);
            await tar.WriteEntryAsync(new PaxTarEntry(TarEntryType.RegularFile, name) { DataStream = still }, cancellation);
        }
        catch (FileNotFoundException)
        {
            // Removed since it was listed: the log knows.
        }
    }

    private static Task AddText(TarWriter tar, string name, string text, CancellationToken cancellation) =>
        tar.WriteEntryAsync(new PaxTarEntry(TarEntryType.RegularFile, name) { DataStream = new MemoryStream(Encoding.UTF8.GetBytes(text)) }, cancellation);

    /// <summary>The log's segments from the backup's start to its end; their names sort as they were written.</summary>
    private static async Task AddLog(TarWriter tar, string data, string label, string last, CancellationToken cancellation)
    {
        var at = label.IndexOf("(file ", StringComparison.Ordinal);
        var first = label.Substring(at + "(file ".Length, 24);
        foreach (var file in Directory.EnumerateFiles(Path.Combine(data, "pg_wal")).Order(StringComparer.Ordinal))
        {
            var name = Path.GetFileName(file);
            if (name.Length == 24 && string.CompareOrdinal(name, first) >= 0 && string.CompareOrdinal(name, last) <= 0)
            {
                await AddFile(tar, file, "pg_wal/" + name, cancellation);
            }
        }
    }

    private static async Task<(string LastSegment, string Label)> Finish(NpgsqlConnection connection, bool old, CancellationToken cancellation)
    {
        // The last segment's name is asked before the stop switches to the next one.
#pragma warning disable CA2100 // One of two constants.
        await using var command = new NpgsqlCommand(
            old ? "select pg_walfile_name(s.lsn), s.labelfile from pg_stop_backup(false, false) s" : "select pg_walfile_name(s.lsn), s.labelfile from pg_backup_stop(false) s",
            connection);
#pragma warning restore CA2100
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        await reader.ReadAsync(cancellation);
        return (reader.GetString(0), reader.GetString(1));
    }

    private static async Task Ask(NpgsqlConnection connection, string sql, CancellationToken cancellation)
    {
#pragma warning disable CA2100 // Constants of this file.
        await using var command = new NpgsqlCommand(sql, connection);
#pragma warning restore CA2100
        await command.ExecuteNonQueryAsync(cancellation);
    }

    /// <summary>Exactly the promised number of bytes of a file that grows or shrinks meanwhile; what is missing reads as zero, and the log mends it.</summary>
    private sealed class FixedLengthStream(Stream inner, long length) : Stream
    {
        private long position;

        public override bool CanRead => true;

        // The tar writer asks for the length before it reads, which only a seekable stream tells.
        public override bool CanSeek => true;

        public override bool CanWrite => false;

        public override long Length => length;

        public override long Position { get => position; set => Seek(value, SeekOrigin.Begin); }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override int Read(Span<byte> buffer)
        {
            var wanted = (int)Math.Min(buffer.Length, length - position);
            if (wanted == 0) { return 0; }
            var read = inner.Read(buffer[..wanted]);
            if (read == 0)
            {
                buffer[..wanted].Clear();
                read = wanted;
            }

            position += read;
            return read;
        }

        public override void Flush() { }

        public override long Seek(long offset, SeekOrigin origin) => origin == SeekOrigin.Begin && offset == position ? position : throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
