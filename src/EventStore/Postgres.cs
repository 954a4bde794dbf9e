using System.Net.Sockets;
using Npgsql;
using Platform.Messaging;

namespace Platform.EventStore;

/// <summary>What the parts of the store share: where the tables are and how long they wait.</summary>
/// <param name="Schema">Quoted.</param>
/// <param name="CommandTimeoutSeconds">One command; a stopped server gives no error by itself.</param>
/// <param name="Patience">How long work that was surely not done is tried again before its caller is told that the store is away.</param>
/// <param name="Deadline">The longest a commit waits in all.</param>
internal sealed record StoreContext(NpgsqlDataSource Source, string Schema, TimeProvider Time, int CommandTimeoutSeconds, TimeSpan Patience, TimeSpan Deadline)
{
    /// <summary>Reads, or does what may be done twice; a connection that turns out to be cut is replaced.</summary>
    public async Task<T> Ask<T>(Func<NpgsqlConnection, CancellationToken, Task<T>> question, CancellationToken cancellation)
    {
        var began = Time.GetTimestamp();
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                await using var connection = await Open(cancellation);
                return await question(connection, cancellation);
            }
            catch (Exception away) when (Postgres.IsAway(away) && !cancellation.IsCancellationRequested)
            {
                if (Time.GetElapsedTime(began) > Patience) { throw new StoreUnavailableException("The database is away.", away); }
                await Task.Delay(TimeSpan.FromMilliseconds(Math.Min(20 * attempt, 250) * (0.5 + Random.Shared.NextDouble())), Time, cancellation);
            }
            catch (PostgresException lost) when (lost.SqlState is PostgresErrorCodes.DeadlockDetected or PostgresErrorCodes.SerializationFailure && attempt < 10)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(20 * Random.Shared.NextDouble()), Time, cancellation);
            }
        }
    }

    /// <exception cref="NpgsqlException">Whatever the server says instead of letting us in, it is away for us.</exception>
    public async Task<NpgsqlConnection> Open(CancellationToken cancellation)
    {
        try { return await Source.OpenConnectionAsync(cancellation); }
        catch (PostgresException refused) { throw new NpgsqlException($"No connection: {refused.MessageText}", refused); }
    }

    public NpgsqlCommand Command(NpgsqlConnection connection, string sql, params ReadOnlySpan<object?> values)
    {
        var command = new NpgsqlCommand(sql, connection) { CommandTimeout = CommandTimeoutSeconds };
        foreach (var value in values) { command.Parameters.Add(new NpgsqlParameter { Value = value ?? DBNull.Value }); }
        return command;
    }
}

internal static class Postgres
{
    /// <summary>Raised by <c>pl_commit</c> when something does not hold.</summary>
    public const string Refused = "PL001";

    /// <summary>The server, or the way to it, fails for now; the same work may pass later.</summary>
    public static bool IsAway(Exception e) => e switch
    {
        PostgresException p => p.SqlState[..2] is "08" or "53" or "57" or "58" or "XX" || p.SqlState is PostgresErrorCodes.ObjectInUse or PostgresErrorCodes.ReadOnlySqlTransaction,
        NpgsqlException or IOException or SocketException or TimeoutException or ObjectDisposedException or InvalidOperationException => true,
        _ => false,
    };

    /// <summary>The server itself said no and goes on: the transaction was rolled back. Where the connection ends, its commit may have been written before.</summary>
    public static bool IsDefinite(PostgresException e) => e.SqlState[..2] is not ("57" or "08" or "XX") && e.InvariantSeverity == "ERROR";

    public static async Task<(int Pid, DateTime Start)> Backend(NpgsqlConnection connection, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand("select pid, backend_start from pg_stat_activity where pid = pg_backend_pid()", connection);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        await reader.ReadAsync(cancellation);
        return (reader.GetInt32(0), reader.GetDateTime(1));
    }

    /// <summary>Ends a backend of ours. False: it is gone.</summary>
    public static async Task<bool> End(NpgsqlConnection connection, int pid, DateTime start, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand("select pg_terminate_backend(pid) from pg_stat_activity where pid = $1 and backend_start = $2", connection);
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = pid });
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = start });
        return await command.ExecuteScalarAsync(cancellation) is not null;
    }
}
