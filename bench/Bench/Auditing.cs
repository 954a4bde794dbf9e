using System.Diagnostics;
using Platform.EventStore.Audit;
using Platform.EventStore.Sealing;
using Platform.Messaging;

namespace Platform.Bench;

/// <summary>Recomputes the whole tree of a log from its events and holds it against the stored leaves and a signed checkpoint.</summary>
internal static class Auditing
{
    public static async Task Measure(Ground ground, Report report)
    {
        await using var source = Ground.Source(await ground.Database("audit"));
        await using var store = await Ground.Store(source);
        var events = ground.Settings.Size(200_000, 4_000);
        await Projecting.Fill(source, events);
        await using (var sealer = Sealer.Start(store)) { await store.WaitBeyond(events - 1, CancellationToken.None); }
        using var key = CheckpointKey.LoadOrCreate(Path.Combine(ground.Folder, "audit-key.pem"));
        await new Checkpoints(store, key, null).Sign(DateTimeOffset.UtcNow, CancellationToken.None);

        var rates = new List<double>();
        for (var round = -1; round < Math.Min(ground.Settings.Rounds, 5); round++)
        {
            var began = Stopwatch.GetTimestamp();
            var found = await AuditVerifier.Verify(store, TenantId.Default, key, [], CancellationToken.None);
            if (!found.Sound || found.Events != events || found.Checkpoints != 1) { throw new InvalidOperationException($"The log was found to be {found}."); }
            if (round >= 0) { rates.Add(events / Stopwatch.GetElapsedTime(began).TotalSeconds); }
        }

        report.Add("audit", $"verify, {events:#,0} events", "/s", rates, null, new Bar(100_000, true, false));
    }
}
