using System.Buffers.Binary;
using Platform.Domain.Daemons.Format;
using Platform.Messaging;

namespace Platform.Domain.Daemons;

/// <summary>When a failed attempt is made again. Jitter is derived from ids, so that a replay waits as long.</summary>
public static class RetrySchedule
{
    /// <summary>No rule waits longer, whatever it multiplies up to.</summary>
    public static readonly TimeSpan MaxDelay = TimeSpan.FromDays(1);

    /// <param name="failedAttempt">The attempt that failed, from 1.</param>
    public static TimeSpan DelayAfter(RetryRule rule, RunId run, string path, int failedAttempt)
    {
        var factor = rule.Backoff switch
        {
            Backoff.Constant => 1d,
            Backoff.Linear => failedAttempt,
            Backoff.Exponential => Math.Pow(2, Math.Min(failedAttempt - 1, 62)),
        };
        var most = rule.MaxDelay > TimeSpan.Zero && rule.MaxDelay < MaxDelay ? rule.MaxDelay : MaxDelay;
        var ticks = Math.Min(rule.Delay.Ticks * factor, most.Ticks);
        if (rule.Jitter) { ticks *= 0.5 + (Fraction(run, path, failedAttempt) / 2); }

        // Whole milliseconds: what is stored is what is waited.
        return TimeSpan.FromMilliseconds(Math.Floor(ticks / TimeSpan.TicksPerMillisecond));
    }

    private static double Fraction(RunId run, string path, int attempt)
    {
        Span<byte> id = stackalloc byte[16];
        DeterministicId.Of(run.Value, $"jitter:{path}:{attempt}").TryWriteBytes(id);
        return BinaryPrimitives.ReadUInt32LittleEndian(id) / (double)uint.MaxValue;
    }
}
