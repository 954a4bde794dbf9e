using System.Security.Cryptography;
using Npgsql;
using Platform.Messaging;

namespace Platform.EventStore;

/// <summary>
/// A session advisory lock of a random number, on a connection of its own: PostgreSQL frees it when the connection goes, however the process ends. No clock is asked.
/// </summary>
internal sealed class NodeMembership : INodeMembership
{
    /// <summary>How soon a connection that is quietly dead is noticed; one that is cut is noticed at once.</summary>
    private static readonly TimeSpan Ping = TimeSpan.FromSeconds(1);
    private const int PingTimeoutSeconds = 5;

    private readonly NpgsqlConnection connection;
    private readonly CancellationTokenSource lost = new();
    private readonly CancellationTokenSource stop = new();
    private readonly Task keep;

    private NodeMembership(NpgsqlConnection connection, long owner)
    {
        (this.connection, Owner) = (connection, owner);
        Lost = lost.Token;
        keep = Task.Run(Keep);
    }

    public long Owner { get; }

    public CancellationToken Lost { get; }

    public static async Task<NodeMembership> Join(NpgsqlDataSource source, string name, CancellationToken cancellation)
    {
        var connection = await source.OpenConnectionAsync(cancellation);
        try
        {
            var owner = BitConverter.ToInt64(RandomNumberGenerator.GetBytes(8)) & long.MaxValue | 1;
            await using var take = new NpgsqlCommand("select pg_advisory_lock($1), set_config('application_name', left($2, 63), false)", connection);
            take.Parameters.Add(new NpgsqlParameter<long> { TypedValue = owner });
            take.Parameters.Add(new NpgsqlParameter<string> { TypedValue = $"platform node {name}" });
            await take.ExecuteNonQueryAsync(cancellation);
            return new NodeMembership(connection, owner);
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (stop.IsCancellationRequested) { return; }
        await stop.CancelAsync();
        await keep;
        try
        {
            if (connection.FullState == System.Data.ConnectionState.Open)
            {
                await using var release = new NpgsqlCommand("select pg_advisory_unlock_all(), set_config('application_name', '', false)", connection) { CommandTimeout = PingTimeoutSeconds };
                await release.ExecuteNonQueryAsync();
            }
        }
        catch (Exception e) when (Postgres.IsAway(e)) { /* Gone with the connection. */ }
        await connection.DisposeAsync();
        await lost.CancelAsync();
        lost.Dispose();
        stop.Dispose();
    }

    private async Task Keep()
    {
        try
        {
            await using var ping = new NpgsqlCommand("select 1", connection) { CommandTimeout = PingTimeoutSeconds };
            while (true)
            {
                await connection.WaitAsync(Ping, stop.Token);
                await ping.ExecuteNonQueryAsync(stop.Token);
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested) { /* Left on purpose. */ }
        catch (Exception e) when (Postgres.IsAway(e) || e is OperationCanceledException) { await lost.CancelAsync(); }
    }
}
