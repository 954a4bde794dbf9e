using Npgsql;
using Platform.Messaging;

namespace Platform.EventStore.Projections;

/// <summary>An event that a projection could not fold or a subscription's reaction failed for, or one that waits behind such a one in its stream.</summary>
/// <param name="Name">Of the projection or the subscription.</param>
/// <param name="Error">Null: it waits behind another.</param>
/// <param name="Attempts">Of a subscription: how often it was tried.</param>
public sealed record ParkedEvent(string Name, long Position, TenantId Tenant, Guid StreamId, string? Error, int Attempts, DateTimeOffset ParkedAt)
{
    public const int MaxListed = 1_000;

    /// <summary>What is parked, in the order of positions: of live generations and of subscriptions.</summary>
    /// <param name="name">Null: of all.</param>
    public static Task<IReadOnlyList<ParkedEvent>> List(Store store, string? name, int limit, CancellationToken cancellation) => store.Context.Ask(async (connection, token) =>
    {
        await using var command = store.Context.Command(connection, $"""
            select k.projection, k.position, k.tenant_id, k.stream_id, k.error, k.attempts, k.parked_at from {store.Context.Schema}.pl_parked k
            where (k.generation = 0 or exists (select from {store.Context.Schema}.pl_projections p where p.name = k.projection and p.generation = k.generation and p.live))
              and ($1::varchar is null or k.projection = $1)
            order by k.projection, k.position limit $2
            """);
        command.Parameters.Add(new NpgsqlParameter { Value = (object?)name ?? DBNull.Value, NpgsqlDbType = NpgsqlTypes.NpgsqlDbType.Varchar });
        command.Parameters.Add(new NpgsqlParameter<int> { TypedValue = Math.Clamp(limit, 1, MaxListed) });
        var found = new List<ParkedEvent>();
        await using var reader = await command.ExecuteReaderAsync(token);
        while (await reader.ReadAsync(token))
        {
            found.Add(new ParkedEvent(
                reader.GetString(0), reader.GetInt64(1), new TenantId(reader.GetString(2)), reader.GetGuid(3), reader.IsDBNull(4) ? null : reader.GetString(4), reader.GetInt32(5), new DateTimeOffset(reader.GetDateTime(6))));
        }

        return (IReadOnlyList<ParkedEvent>)found;
    }, cancellation);
}

/// <summary>Events that could not be folded, those that wait behind them in their streams, and those that a person said to leave out.</summary>
internal static class Parked
{
    /// <summary>Streams with an event that could not be folded.</summary>
    public static async Task<HashSet<(string Tenant, Guid Stream)>> Streams(StoreContext context, NpgsqlConnection connection, string projection, long generation, CancellationToken cancellation)
    {
        var streams = new HashSet<(string, Guid)>();
        await using var command = context.Command(connection, $"select distinct tenant_id, stream_id from {context.Schema}.pl_parked where projection = $1 and generation = $2", projection, generation);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation)) { streams.Add((reader.GetString(0), reader.GetGuid(1))); }
        return streams;
    }

    /// <summary>The same with the position from which on a stream is not folded.</summary>
    public static async Task<Dictionary<(string Tenant, Guid Stream), long>> From(StoreContext context, NpgsqlConnection connection, string projection, long generation, CancellationToken cancellation)
    {
        var streams = new Dictionary<(string, Guid), long>();
        await using var command = context.Command(connection, $"select tenant_id, stream_id, min(position) from {context.Schema}.pl_parked where projection = $1 and generation = $2 group by 1, 2", projection, generation);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation)) { streams.Add((reader.GetString(0), reader.GetGuid(1)), reader.GetInt64(2)); }
        return streams;
    }

    /// <summary>Positions that are left out.</summary>
    public static async Task<HashSet<long>> Discarded(StoreContext context, NpgsqlConnection connection, string projection, CancellationToken cancellation)
    {
        var positions = new HashSet<long>();
        await using var command = context.Command(connection, $"select position from {context.Schema}.pl_discarded where projection = $1", projection);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation)) { positions.Add(reader.GetInt64(0)); }
        return positions;
    }
}
