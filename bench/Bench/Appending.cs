using Platform.EventStore;
using Platform.Messaging;

namespace Platform.Bench;

/// <summary>Three events to a new stream a transaction, against one prepared statement a transaction on a connection a writer.</summary>
internal static class Appending
{
    private const int Events = 3;

    public static async Task Measure(Ground ground, Report report)
    {
        foreach (var (writers, bar, cpu) in ((int, double, double?)[])[(1, 0.8, null), (8, 1.1, null), (32, 1.3, 0.6)])
        {
            await using var source = Ground.Source(await ground.Database($"append_{writers}"));
            await using var other = Ground.Source(await ground.Database($"append_raw_{writers}"));
            await using var store = await Ground.Store(source);
            await Raw.Tables(other);
            var raw = await Raw.Open(other, writers);

            var rounds = await Rounds.Run(ground, writers, _ => Ours(store), writer => Peer(raw[writer]));
            report.Compare("append", $"{Events} events, {writers} writer{(writers == 1 ? "" : "s")}", rounds, bar, cpu);
            foreach (var one in raw) { await one.DisposeAsync(); }
        }
    }

    private static Task<InboxEntry?> Ours(Store store)
    {
        var (now, id) = (DateTimeOffset.UtcNow, Guid.CreateVersion7());
        return store.Append(
            new Commit
            {
                Tenant = TenantId.Default,
                Timestamp = now,
                Streams = [new StreamAppend(id, Note.StreamType, ExpectedVersion.New, Three())],
                Metadata = new EventMetadata(id.ToString(), id.ToString()),
            },
            CancellationToken.None);
    }

    private static Task Peer(Raw raw)
    {
        var (now, id) = (DateTimeOffset.UtcNow, Guid.CreateVersion7());
        return raw.Start(id, Three(), now, id.ToString(), id.ToString());
    }

    private static Noted[] Three() => [Note.Of(1), Note.Of(2), Note.Of(3)];
}
