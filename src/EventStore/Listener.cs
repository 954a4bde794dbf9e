using Npgsql;
using Platform.Messaging;

namespace Platform.EventStore;

/// <summary>
/// The one listening connection of a process. Signals are hints: whoever waits for one also looks by itself now and then, since a signal sent while the connection is
/// away is lost.
/// </summary>
public sealed class Listener : IAsyncDisposable
{
    /// <summary>Another process has appended.</summary>
    public const string Wake = "pl_wake";

    /// <summary>A batch was sealed.</summary>
    public const string Sealed = "pl_sealed";

    /// <summary>There are messages that nobody owns.</summary>
    public const string Work = "pl_work";

    /// <summary>Calls to the world for a stream are to end: schema, sender, tenant and stream, with a space between (none of them has one).</summary>
    internal const string Interrupts = "pl_interrupt";

    private static readonly TimeSpan Probe = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(2);

    private readonly NpgsqlDataSource source;
    private readonly string schema;
    private readonly TimeProvider time;
    private readonly CancellationTokenSource stop = new();
    private readonly Dictionary<string, TaskCompletionSource> waiters = new() { [Wake] = New(), [Sealed] = New(), [Work] = New() };
    private readonly string sender = Guid.NewGuid().ToString("n");
    private readonly List<Action<TenantId, Guid>> interrupted = [];
    private readonly Lock gate = new();
    private readonly TaskCompletionSource listening = New();
    private readonly Lazy<Task> run;
    private int ownSender;

    internal Listener(NpgsqlDataSource source, string schema, TimeProvider time)
    {
        (this.source, this.schema, this.time) = (source, schema, time);
        run = new Lazy<Task>(() => Task.Run(Run));
    }

    /// <summary>The backend that sends this process's own signals, which it knows without them; 0: none.</summary>
    internal int OwnSender
    {
        get => Volatile.Read(ref ownSender);
        set => Volatile.Write(ref ownSender, value);
    }

    /// <summary>Told of what other processes interrupt before everybody else is.</summary>
    internal Action<TenantId, Guid>? Interrupting { get; set; }

    /// <summary>A signal for this schema came, or the connection was made again, so that some may have been missed. Called on the listening thread: be quick.</summary>
    public event Action<string>? Signalled;

    /// <summary>Completes at the first signal on the channel after the call: ask for it, look at the tables, then await it.</summary>
    public Task Next(string channel)
    {
        _ = run.Value;
        lock (gate) { return waiters[channel].Task; }
    }

    /// <summary>Connects if nobody has asked for signals yet; completes when signals are heard.</summary>
    public Task Start()
    {
        _ = run.Value;
        return listening.Task;
    }

    /// <summary>Called on the listening thread for what other processes interrupt.</summary>
    internal IDisposable OnInterrupt(Action<TenantId, Guid> hear)
    {
        _ = run.Value;
        lock (gate) { interrupted.Add(hear); }
        return new Hearing(() => { lock (gate) { interrupted.Remove(hear); } });
    }

    internal string Interruption(TenantId tenant, Guid streamId) => $"{schema} {sender} {tenant.Value} {streamId:n}";

    /// <summary>What this process knows without the database.</summary>
    public void Signal(string channel)
    {
        TaskCompletionSource waiter;
        lock (gate)
        {
            waiter = waiters[channel];
            waiters[channel] = New();
        }

        waiter.TrySetResult();
        Signalled?.Invoke(channel);
    }

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        if (run.IsValueCreated) { await run.Value.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing); }
        listening.TrySetCanceled();
        lock (gate)
        {
            foreach (var waiter in waiters.Values) { waiter.TrySetCanceled(); }
        }

        stop.Dispose();
    }

    private static TaskCompletionSource New() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private async Task Run()
    {
        var pause = FirstPause;
        while (!stop.IsCancellationRequested)
        {
            try
            {
                await using var connection = await source.OpenConnectionAsync(stop.Token);
                connection.Notification += OnNotification;
                try
                {
                    await Execute(connection, $"listen {Wake}; listen {Sealed}; listen {Work}; listen {Interrupts}");
                    pause = FirstPause;
                    listening.TrySetResult();
                    foreach (var channel in (ReadOnlySpan<string>)[Wake, Sealed, Work]) { Signal(channel); }
                    while (true)
                    {
                        // A connection that is quietly dead is found by the probe.
                        if (!await connection.WaitAsync(Probe, stop.Token)) { await Execute(connection, "select 1"); }
                    }
                }
                finally
                {
                    // It goes back to the pool without a reset, and must not listen there.
                    connection.Notification -= OnNotification;
                    if (connection.FullState == System.Data.ConnectionState.Open) { await Execute(connection, "unlisten *"); }
                }
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested) { return; }
            catch (Exception away) when (away is PostgresException || Postgres.IsAway(away))
            {
                try { await Task.Delay(pause * (0.5 + Random.Shared.NextDouble()), time, stop.Token); }
                catch (OperationCanceledException) { return; }
                pause = pause + pause > LongestPause ? LongestPause : pause + pause;
            }
        }
    }

    private static async Task Execute(NpgsqlConnection connection, string sql)
    {
        await using var command = new NpgsqlCommand(sql, connection) { CommandTimeout = 5 };
        await command.ExecuteNonQueryAsync(CancellationToken.None);
    }

    private void OnNotification(object sender, NpgsqlNotificationEventArgs heard)
    {
        if (heard.Channel == Interrupts) { OnInterruption(heard.Payload.Split(' ')); }
        else if (heard.Payload == schema && heard.PID != OwnSender && waiters.ContainsKey(heard.Channel)) { Signal(heard.Channel); }
    }

    private void OnInterruption(string[] parts)
    {
        // This process has done its own already.
        if (parts.Length != 4 || parts[0] != schema || parts[1] == sender || !TenantId.TryParse(parts[2], out var tenant) || !Guid.TryParse(parts[3], out var stream)) { return; }
        Action<TenantId, Guid>[] all;
        lock (gate) { all = [.. interrupted]; }
        Interrupting?.Invoke(tenant, stream);
        foreach (var hear in all) { hear(tenant, stream); }
    }

    private sealed class Hearing(Action end) : IDisposable
    {
        public void Dispose() => end();
    }
}
