using Npgsql;

namespace Platform.EventStore.Sealing;

/// <summary>
/// A lock that a connection holds for as long as it lives: PostgreSQL frees it when the process, or the way to it, dies. What is written on the same
/// connection needs no other fence. A process that hangs (stopped, swapped out, a machine that sleeps) says nothing on its connection: after
/// <see cref="StoreOptions.OwnerSilence"/> the server ends that session, and with it the lock and whatever transaction it was in.
/// </summary>
internal static class SessionLock
{
    /// <summary>
    /// Between tries. Nobody waits in the server: a statement that waits has a snapshot, and would keep vacuum from everything that is deleted meanwhile.
    /// </summary>
    private static readonly TimeSpan Again = TimeSpan.FromMilliseconds(500);

    /// <summary>Waits as long as it takes. The connection is to be given back with <see cref="Free"/>, and must say something more often than the owner's silence lasts.</summary>
    public static async Task<NpgsqlConnection> Take(Store store, string name, CancellationToken cancellation)
    {
        while (true)
        {
            var connection = await store.Context.Open(cancellation);
            try
            {
                await using var take = store.Context.Command(
                    connection,
                    """
                    select case when pg_try_advisory_lock(hashtextextended('platform.' || $1 || '.' || $2, 0))
                        then set_config('idle_session_timeout', $3, false) || set_config('idle_in_transaction_session_timeout', $3, false) end
                    """,
                    store.Schema,
                    name,
                    store.OwnerSilence.TotalMilliseconds.ToString("0", System.Globalization.CultureInfo.InvariantCulture));
                if (await take.ExecuteScalarAsync(cancellation) is string) { return connection; }
                await connection.DisposeAsync();
            }
            catch
            {
                await Free(connection);
                throw;
            }

            await Task.Delay(Again * (0.5 + Random.Shared.NextDouble()), cancellation);
        }
    }

    /// <summary>Gives back the lock, and the connection without what its owner has set on it.</summary>
    public static async Task Free(NpgsqlConnection connection)
    {
        try
        {
            if (connection.FullState != System.Data.ConnectionState.Open) { return; }
            await using var command = new NpgsqlCommand("select pg_advisory_unlock_all(); reset all", connection) { CommandTimeout = 5 };
            await command.ExecuteNonQueryAsync(CancellationToken.None);
        }
        catch (Exception going) when (Postgres.IsAway(going))
        {
            // The connection is going, and the lock with it.
        }
        finally
        {
            await connection.DisposeAsync();
        }
    }
}
