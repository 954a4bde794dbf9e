using System.Collections.Concurrent;
using System.Diagnostics;
using Platform.EmbeddedPostgres;
using Platform.EventStore.Sealing;
using Platform.Messaging;

namespace Platform.EventStore.Tests;

/// <summary>A private PostgreSQL that syncs to disk, and that is killed or starved under those who use it.</summary>
public sealed class A_store_whose_PostgreSQL : IDisposable
{
    private const int EventsEach = 3;
    private static readonly byte[] Hash = new byte[32];

    private readonly string folder = Path.Combine(Path.GetTempPath(), $"platform-f-{Guid.NewGuid():n}"[..24]);
    private readonly List<string> mounts = [];

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        foreach (var mount in mounts) { Run("umount", "-l", mount); }
        foreach (var left in (string[])[folder, $"{folder}-wal"])
        {
            if (Directory.Exists(left)) { Directory.Delete(left, recursive: true); }
        }
    }

    [Fact]
    public async Task is_killed_under_load_loses_nothing_that_it_acknowledged()
    {
        await using var cluster = await EmbeddedCluster.Start(new ClusterOptions(folder), Cancellation);
        await using var store = await Open(cluster);
        await using var sealer = Sealer.Start(store);
        var acknowledged = new ConcurrentDictionary<Guid, bool>();
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        var writers = Enumerable.Range(0, 16).Select(_ => Task.Run(() => Write(store, acknowledged, enough.Token), Cancellation)).ToArray();

        for (var kill = 0; kill < 3; kill++)
        {
            await Until(acknowledged.Count + 200, () => acknowledged.Count);
            var before = cluster.Pid!.Value;
            KillTree(before);
            await Until(1, () => cluster.Pid is { } now && now != before ? 1 : 0);
        }

        await Until(acknowledged.Count + 200, () => acknowledged.Count);
        await enough.CancelAsync();
        await Task.WhenAll(writers);
        await AssertAllThere(store, acknowledged.Keys);
    }

    [Theory]
    [InlineData("data")]
    [InlineData("pg_wal")]
    public async Task has_a_full_disk_says_so_loses_nothing_and_heals_without_a_restart(string full)
    {
        var small = await SmallDisk(full);
        var told = new ConcurrentQueue<string>();
        await using var cluster = await EmbeddedCluster.Start(new ClusterOptions(folder, Progress: told.Enqueue), Cancellation);
        await using var store = await Open(cluster);
        await using var sealer = Sealer.Start(store);
        var acknowledged = new ConcurrentDictionary<Guid, bool>();
        for (var i = 0; i < 20; i++) { Assert.True(await Append(store, acknowledged, Guid.NewGuid(), 10)); }

        var ballast = Path.Combine(small, "ballast");
        Fill(ballast);
        if (full == "pg_wal") { await Sql.Run(store.Source, "select pg_switch_wal()"); }
        string? refusal = null;
        for (var i = 0; i < 2_000 && refusal is null; i++)
        {
            try { await Append(store, acknowledged, Guid.NewGuid(), 60_000); }
            catch (StoreUnavailableException away) { refusal = away.Message; }
        }

        // Where PostgreSQL itself lives it says what is wrong; where it gave up, whoever tries to start it does.
        if (full == "data") { Assert.Contains("No space left", refusal, StringComparison.Ordinal); }
        else
        {
            Assert.NotNull(refusal);
            await Until(1, () => told.Any(line => line.Contains("is full", StringComparison.Ordinal)) ? 1 : 0);
        }

        File.Delete(ballast);
        var healed = Guid.NewGuid();
        while (!await Tried(store, acknowledged, healed)) { Cancellation.ThrowIfCancellationRequested(); }
        await AssertAllThere(store, acknowledged.Keys);
    }

    private static Task<Store> Open(EmbeddedCluster cluster) => Store.Open(
        new StoreOptions { ConnectionString = cluster.ConnectionString, EventTypes = Rig.Types, Patience = TimeSpan.FromMilliseconds(200), Deadline = TimeSpan.FromSeconds(10), CommandTimeoutSeconds = 10 }, Cancellation);

    /// <summary>One command after the other; one whose outcome is not known is asked for again under its id.</summary>
    private static async Task Write(Store store, ConcurrentDictionary<Guid, bool> acknowledged, CancellationToken enough)
    {
        while (!enough.IsCancellationRequested)
        {
            var id = Guid.NewGuid();
            while (!enough.IsCancellationRequested && !await Tried(store, acknowledged, id)) { }
        }
    }

    private static async Task<bool> Tried(Store store, ConcurrentDictionary<Guid, bool> acknowledged, Guid id)
    {
        try { return await Append(store, acknowledged, id, 300); }
        catch (StoreUnavailableException) { return false; }
    }

    private static async Task<bool> Append(Store store, ConcurrentDictionary<Guid, bool> acknowledged, Guid id, int characters)
    {
        object[] events = [new Counted(1), new Labelled(new string('x', characters)), new Counted(2)];
        await store.Append(Rig.Commit(id, ExpectedVersion.New, events) with { Inbox = new InboxEntry(id.ToString(), Hash, "1"u8.ToArray()) }, Cancellation);
        acknowledged[id] = true;
        return true;
    }

    /// <summary>Every acknowledged command is there once and whole, and every event that is there has its position.</summary>
    private static async Task AssertAllThere(Store store, ICollection<Guid> acknowledged)
    {
        var there = (await Sql.List<Guid>(store.Source, $"select s.id from mt_streams s join mt_events e on e.tenant_id = s.tenant_id and e.stream_id = s.id where s.version = {EventsEach} group by s.id having count(*) = {EventsEach} and max(e.version) = {EventsEach}")).ToHashSet();
        Assert.DoesNotContain(acknowledged, id => !there.Contains(id));
        Assert.Equal(there.Count, await Sql.Value<long>(store.Source, "select count(*) from mt_streams"));

        var total = await Sql.Value<long>(store.Source, "select count(*) from mt_events");
        Assert.Equal(total, await store.CommittedEvents(Cancellation));
        await store.WaitBeyond(total - 1, Cancellation);
        Assert.Equal(total, await Sql.Value<long>(store.Source, "select count(distinct s) from pl_seals, unnest(seqs) s"));
        Assert.Equal(total, await Sql.Value<long>(store.Source, "select max(last_position) from pl_seals"));
    }

    /// <summary>A cluster whose data, or whose log alone, lies on a file system of a few dozen megabytes. Answers where that is.</summary>
    private async Task<string> SmallDisk(string which)
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "Only root can mount a small file system.");
        var small = which == "data" ? folder : $"{folder}-wal";
        Directory.CreateDirectory(small);
        Assert.SkipUnless(Run("mount", "-t", "tmpfs", "-o", "size=120m", "tmpfs", small) == 0, "This machine allows no mount.");
        mounts.Add(small);

        // One start makes the cluster; then its log moves to the other disk.
        await (await EmbeddedCluster.Start(new ClusterOptions(folder), Cancellation)).DisposeAsync();
        var (wal, moved) = (Path.Combine(folder, "postgres", "data", "pg_wal"), which == "data" ? $"{folder}-wal" : Path.Combine(small, "pg_wal"));
        Assert.Equal(0, Run("cp", "-a", wal, moved));
        Directory.Delete(wal, recursive: true);
        File.CreateSymbolicLink(wal, moved);
        return small;
    }

    private static void Fill(string file)
    {
        using var ballast = File.Create(file);
        var block = new byte[64 * 1024];
        try
        {
            while (true) { ballast.Write(block); ballast.Flush(); }
        }
        catch (IOException) { /* Full. */ }
    }

    private static async Task Until(int wanted, Func<int> count)
    {
        while (count() < wanted) { await Task.Delay(10, Cancellation); }
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
