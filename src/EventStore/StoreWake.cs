using System.Threading.Channels;
using Npgsql;

namespace Platform.EventStore;

/// <summary>
/// Tells other processes, on a connection of its own and never within an append (NOTIFY takes a lock of the whole database at commit): at most one transaction each few
/// milliseconds, however many signals there were, the first at once.
/// </summary>
internal sealed class Wake : IAsyncDisposable
{
    private static readonly TimeSpan Apart = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan AfterFailure = TimeSpan.FromMilliseconds(500);

    private readonly StoreContext context;
    private readonly string payload;
    private readonly Action<int> sendsAs;
    private readonly Channel<bool> signal = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly CancellationTokenSource stop = new();
    private readonly Task run;
    private int channels;

    /// <param name="sendsAs">Told of the backend that sends, so that this process does not hear itself.</param>
    public Wake(StoreContext context, string payload, Action<int> sendsAs)
    {
        (this.context, this.payload, this.sendsAs) = (context, payload, sendsAs);
        run = Task.Run(Run);
    }

    public void Signal(string channel)
    {
        Interlocked.Or(ref channels, Bit(channel));
        signal.Writer.TryWrite(true);
    }

    public async ValueTask DisposeAsync()
    {
        signal.Writer.TryComplete();
        await stop.CancelAsync();
        await run.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        stop.Dispose();
    }

    private static int Bit(string channel) => channel switch { Listener.Wake => 1, Listener.Sealed => 2, Listener.Work => 4, _ => throw new ArgumentOutOfRangeException(nameof(channel), channel, null) };

    private async Task Run()
    {
        while (await signal.Reader.WaitToReadAsync(stop.Token))
        {
            try
            {
                await using var connection = await context.Open(stop.Token);
                sendsAs(connection.ProcessID);
                await using var command = new NpgsqlCommand("select pg_notify(channel, $2) from unnest($1) as channel", connection) { CommandTimeout = context.CommandTimeoutSeconds };
                var names = new NpgsqlParameter<string[]>();
                command.Parameters.Add(names);
                command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = payload });

                // A hint need not be on disk; without this each one would wait for a flush.
                await using (var quick = new NpgsqlCommand("set synchronous_commit = off", connection)) { await quick.ExecuteNonQueryAsync(stop.Token); }
                try
                {
                    while (await signal.Reader.WaitToReadAsync(stop.Token))
                    {
                        signal.Reader.TryRead(out _);
                        var said = Interlocked.Exchange(ref channels, 0);
                        names.TypedValue = [.. from channel in (string[])[Listener.Wake, Listener.Sealed, Listener.Work] where (said & Bit(channel)) != 0 select channel];
                        if (names.TypedValue.Length > 0) { await command.ExecuteNonQueryAsync(stop.Token); }
                        await Task.Delay(Apart, context.Time, stop.Token);
                    }
                }
                finally
                {
                    sendsAs(0);
                    await using var reset = new NpgsqlCommand("reset synchronous_commit", connection);
                    if (connection.FullState == System.Data.ConnectionState.Open) { await reset.ExecuteNonQueryAsync(CancellationToken.None); }
                }
            }
            catch (Exception away) when (Postgres.IsAway(away) && !stop.IsCancellationRequested)
            {
                await Task.Delay(AfterFailure, context.Time, stop.Token);
            }
        }
    }
}
