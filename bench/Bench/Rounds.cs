using System.Diagnostics;

namespace Platform.Bench;

/// <summary>What one side did in one slice.</summary>
internal sealed record Slice(long Operations, double Seconds, double OwnCpuUs, double PostgresCpuUs)
{
    public double PerSecond => Operations / Seconds;

    /// <summary>Of this process and PostgreSQL together, per operation.</summary>
    public double CpuUs => OwnCpuUs + PostgresCpuUs;
}

/// <summary>Ours and its peer in turn, within the same few seconds, so that what else the machine does falls on both.</summary>
internal static class Rounds
{
    /// <param name="ours">Does one operation for a writer.</param>
    /// <param name="before">Before each slice, not measured.</param>
    /// <param name="operations">Of a slice; null: as many as its time allows.</param>
    public static async Task<(Slice[] Ours, Slice[] Peer)> Run(Ground ground, int writers, Func<int, Task> ours, Func<int, Task> peer, Func<Task>? before = null, int? operations = null)
    {
        // Both are warm before the first round counts: compiled, prepared, their pages in memory.
        await Measure(ground, writers, ours, ground.Settings.Slice / 2, null);
        await Measure(ground, writers, peer, ground.Settings.Slice / 2, null);
        var (first, second) = (new List<Slice>(), new List<Slice>());
        for (var round = 0; round < ground.Settings.Rounds; round++)
        {
            foreach (var own in (bool[])[round % 2 == 0, round % 2 != 0])
            {
                if (before is not null) { await before(); }
                (own ? first : second).Add(await Measure(ground, writers, own ? ours : peer, ground.Settings.Slice, operations));
            }
        }

        return ([.. first], [.. second]);
    }

    /// <summary>Many writers, each doing one operation after the other until the time is over or their number is reached.</summary>
    public static async Task<Slice> Measure(Ground ground, int writers, Func<int, Task> operation, TimeSpan time, int? operations)
    {
        GC.Collect();
        var cpu = ground.Cpu.Seconds();
        var began = Stopwatch.GetTimestamp();
        long left = operations ?? long.MaxValue, done = 0;
        await Task.WhenAll(Enumerable.Range(0, writers).Select(writer => Task.Run(async () =>
        {
            long own = 0;
            while ((operations is not null || Stopwatch.GetElapsedTime(began) < time) && Interlocked.Decrement(ref left) >= 0)
            {
                await operation(writer);
                own++;
            }

            Interlocked.Add(ref done, own);
        })));
        var seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        var after = ground.Cpu.Seconds();
        return new Slice(done, seconds, (after.Own - cpu.Own) * 1e6 / done, (after.Postgres - cpu.Postgres) * 1e6 / done);
    }
}
