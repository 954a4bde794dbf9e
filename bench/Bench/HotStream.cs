using System.Threading.Channels;
using Platform.Messaging;

namespace Platform.Bench;

/// <summary>
/// All writers decide on one stream, against a raw lane within the process: one connection, the fold in memory, one prepared statement a decision, one after the other.
/// </summary>
internal static class HotStream
{
    private const int Writers = 32;

    public static async Task Measure(Ground ground, Report report)
    {
        await using var source = Ground.Source(await ground.Database("hot"));
        await using var other = Ground.Source(await ground.Database("hot_raw"));
        await using var store = await Ground.Store(source);
        await Raw.Tables(other);
        await using var raw = await Raw.Open(other);

        var stream = Guid.CreateVersion7();
        await Log.Write(source, [stream], 1);
        await Log.Write(other, [stream], 1);
        var lane = new RawLane(raw, stream, await raw.Load(stream));
        long failures = 0;
        var rounds = await Rounds.Run(
            ground, Writers,
            async _ =>
            {
                try { await Deciding.Ours(store, stream); }
                catch (Exception) { Interlocked.Increment(ref failures); }
            },
            _ => lane.Decide());
        report.Compare("hot", $"one stream, {Writers} writers", rounds, 0.8);
        report.Add("hot", "failures that a caller sees", "", [failures], null, new Bar(0, false, false));

        // The version check holds the lane to the truth: as many events as decisions.
        var loaded = await store.Load(TenantId.Default, stream, Note.Fold, CancellationToken.None);
        if (loaded.State!.Count != loaded.Version) { throw new InvalidOperationException("The fold and the log differ."); }
        lane.Close();
    }

    private sealed class RawLane
    {
        private readonly Channel<TaskCompletionSource> waiting = Channel.CreateUnbounded<TaskCompletionSource>(new UnboundedChannelOptions { SingleReader = true });

        public RawLane(Raw raw, Guid stream, (Notes? State, long Version) at) => _ = Task.Run(async () =>
        {
            await foreach (var next in waiting.Reader.ReadAllAsync())
            {
                var cause = Guid.CreateVersion7().ToString();
                var noted = Note.Of(at.State!.Count);
                try
                {
                    await raw.Append(stream, at.Version, noted, DateTimeOffset.UtcNow, cause, cause);
                    at = (Note.After(at.State, noted), at.Version + 1);
                    next.SetResult();
                }
                catch (Exception failed) { next.SetException(failed); }
            }
        });

        public Task Decide()
        {
            var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            waiting.Writer.TryWrite(done);
            return done.Task;
        }

        public void Close() => waiting.Writer.Complete();
    }
}
