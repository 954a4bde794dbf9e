using Npgsql;

namespace Platform.EventStore.Sealing;

/// <summary>
/// A lock that a connection holds for as long as it lives: PostgreSQL frees it when the process, or the way to it, dies. What is written on the same
/// connection needs no other fence.
/// </summary>
internal static class SessionLock
{
    /// <summary>Waits as long as it takes.</summary>
    public static async Task Take(NpgsqlConnection connection, string schema, string name, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand("select pg_advisory_lock(hashtextextended('platform.' || $1 || '.' || $2, 0))", connection) { CommandTimeout = 0 };
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = schema });
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = name });
        await command.ExecuteNonQueryAsync(cancellation);
    }

    /// <summary>Before the connection goes back to its pool.</summary>
    public static async Task Free(NpgsqlConnection connection)
    {
        if (connection.FullState != System.Data.ConnectionState.Open) { return; }
        try
        {
            await using var command = new NpgsqlCommand("select pg_advisory_unlock_all()", connection) { CommandTimeout = 5 };
            await command.ExecuteNonQueryAsync(CancellationToken.None);
        }
        catch (NpgsqlException)
        {
            // The connection is going, and the lock with it.
        }
    }
}
