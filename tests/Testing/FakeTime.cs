namespace Platform.Testing;

/// <summary>A wall clock and a monotonic clock that move only when they are told to, and not always together.</summary>
public sealed class FakeTime : TimeProvider
{
    private readonly Lock gate = new();
    private readonly List<Timer> timers = [];
    private DateTimeOffset wall = new(2026, 1, 2, 12, 0, 0, TimeSpan.Zero);
    private long ticks;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    /// <summary>Timers that wait.</summary>
    public int Armed
    {
        get { lock (gate) { return timers.Count(t => t.At is not null); } }
    }

    public override DateTimeOffset GetUtcNow()
    {
        lock (gate) { return wall; }
    }

    public override long GetTimestamp()
    {
        lock (gate) { return ticks; }
    }

    /// <summary>Somebody sets the wall clock; no time goes by.</summary>
    public void SetWall(TimeSpan by)
    {
        lock (gate) { wall += by; }
    }

    public void Advance(TimeSpan by)
    {
        var end = GetTimestamp() + by.Ticks;
        while (true)
        {
            Timer? next;
            lock (gate)
            {
                next = timers.Where(t => t.At <= end).MinBy(t => t.At);
                var to = next?.At ?? end;
                if (to > ticks)
                {
                    wall += TimeSpan.FromTicks(to - ticks);
                    ticks = to;
                }

                if (next is null) { return; }
                next.At = null;
            }

            next.Fire();
        }
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new Timer(this, callback, state);
        lock (gate) { timers.Add(timer); }
        timer.Change(dueTime, period);
        return timer;
    }

    private sealed class Timer(FakeTime time, TimerCallback callback, object? state) : ITimer
    {
        public long? At { get; set; }

        public void Fire() => callback(state);

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            lock (time.gate) { At = dueTime == Timeout.InfiniteTimeSpan ? null : time.ticks + dueTime.Ticks; }
            return true;
        }

        public void Dispose()
        {
            lock (time.gate) { time.timers.Remove(this); }
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
