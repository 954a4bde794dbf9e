using Npgsql;
using Platform.EventStore;
using Platform.Messaging;

namespace Platform.Bench;

/// <summary>
/// Decide on a stream of 10 events and append one, against two prepared round trips (read and fold; append with a version check). Every stream is decided on once,
/// so it has 10 events for both. Ours has met the stream before, as a process that works on it has: its fold is in memory.
/// </summary>
internal static class Deciding
{
    private const int Before = 10;

    public static async Task Measure(Ground ground, Report report)
    {
        foreach (var (writers, bar, most) in ((int, double, int)[])[(1, 1.0, 1_000), (8, 1.5, 4_000), (32, 2.0, 8_000)])
        {
            var count = ground.Settings.Size(most, 20);
            await using var source = Ground.Source(await ground.Database($"decide_{writers}"));
            await using var other = Ground.Source(await ground.Database($"decide_raw_{writers}"));
            await using var store = await Ground.Store(source);
            await Raw.Tables(other);
            var raw = await Raw.Open(other, writers);

            var (ours, peers) = (new Pool(source, store), new Pool(other, null));
            var rounds = await Rounds.Run(
                ground, writers,
                async _ => await Ours(store, await ours.Next()),
                async writer => await Peer(raw[writer], await peers.Next()),
                async () =>
                {
                    await ours.Fill(count);
                    await peers.Fill(count);
                },
                count);
            report.Compare("decide", $"on {Before} events, append 1, {writers} writer{(writers == 1 ? "" : "s")}", rounds, bar);
            foreach (var one in raw) { await one.DisposeAsync(); }
        }
    }

    public static Task Ours(Store store, Guid stream)
    {
        var cause = Guid.CreateVersion7().ToString();
        return store.Decide(
            new DecideRequest<Notes>(
                TenantId.Default, stream, Note.Fold,
                (state, _) => new Decision([Note.Of(state!.Count)], []),
                DateTimeOffset.UtcNow, new EventMetadata(cause, cause)),
            CancellationToken.None);
    }

    private static async Task Peer(Raw raw, Guid stream)
    {
        var cause = Guid.CreateVersion7().ToString();
        var (state, version) = await raw.Load(stream);
        await raw.Append(stream, version, Note.Of(state!.Count), DateTimeOffset.UtcNow, cause, cause);
    }

    /// <summary>Streams that nobody has decided on yet.</summary>
    private sealed class Pool(NpgsqlDataSource source, Store? warm)
    {
        private readonly SemaphoreSlim filling = new(1);
        private Guid[] streams = [];
        private int next;

        public async Task Fill(int count)
        {
            var fresh = new Guid[count];
            for (var i = 0; i < count; i++) { fresh[i] = Guid.CreateVersion7(); }
            await Log.Write(source, fresh, Before);
            if (warm is not null)
            {
                await Parallel.ForEachAsync(fresh, new ParallelOptions { MaxDegreeOfParallelism = 8 }, async (stream, stop) => await warm.Load(TenantId.Default, stream, Note.Fold, stop));
            }

            (streams, next) = (fresh, 0);
        }

        /// <summary>Makes more while the warm-up, whose length is not known, has used them up.</summary>
        public async ValueTask<Guid> Next()
        {
            while (true)
            {
                var (all, at) = (streams, Interlocked.Increment(ref next) - 1);
                if (at < all.Length) { return all[at]; }
                await filling.WaitAsync();
                try
                {
                    if (ReferenceEquals(all, streams)) { await Fill(500); }
                }
                finally { filling.Release(); }
            }
        }
    }
}
