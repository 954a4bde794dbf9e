namespace Platform.EventStore.Subscriptions;

/// <summary>What a host sees of a subscription.</summary>
/// <param name="Position">Everything up to here was handed over, or is parked.</param>
/// <param name="Lag">Events behind the seal.</param>
/// <param name="Behind">How long the first of them has been waiting; zero: none does.</param>
/// <param name="Parked">Events that the reaction failed for, with those that wait behind them.</param>
/// <param name="Error">Why it does not come on; null: it does.</param>
public sealed record SubscriptionStatus(string Name, long Position, long Lag, TimeSpan Behind, int Parked, string? Error);

/// <summary>What people ask of subscriptions. Whoever owns one hears it within a second.</summary>
public sealed class SubscriptionControl(Store store)
{
    private readonly string schema = store.Context.Schema;

    /// <summary>Every subscription that the database knows.</summary>
    public Task<IReadOnlyList<SubscriptionStatus>> Status(CancellationToken cancellation) => store.Context.Ask(async (connection, token) =>
    {
        await using var command = store.Context.Command(connection, $"""
            select s.name, s.position, greatest(0, l.last - s.position), {ReadingMonitor.Behind(schema, "s.position")},
                   (select count(*)::int from {schema}.pl_parked k where k.projection = s.name and k.generation = 0), s.error
            from {schema}.pl_subscriptions s, (select coalesce(max(last_position), 0) as last from {schema}.pl_seals) l order by s.name
            """);
        var found = new List<SubscriptionStatus>();
        await using var reader = await command.ExecuteReaderAsync(token);
        while (await reader.ReadAsync(token))
        {
            found.Add(new SubscriptionStatus(reader.GetString(0), reader.GetInt64(1), reader.GetInt64(2), TimeSpan.FromSeconds(reader.GetDouble(3)), reader.GetInt32(4), reader.IsDBNull(5) ? null : reader.GetString(5)));
        }

        return (IReadOnlyList<SubscriptionStatus>)found;
    }, cancellation);

    /// <summary>Goes on after this position, back or forth; what is parked is forgotten. False: there is no such subscription.</summary>
    public Task<bool> Reset(string name, long position, CancellationToken cancellation)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(position);
        return Ask(
            $"""
            with forgotten as (delete from {schema}.pl_parked where projection = $1 and generation = 0)
            update {schema}.pl_subscriptions set asked = asked + 1, error = null, position = $2 where name = $1
            """,
            cancellation,
            name,
            position);
    }

    /// <summary>Tries what is parked again, as often as the policy says. False: there is no such subscription.</summary>
    public Task<bool> Retry(string name, CancellationToken cancellation) => Ask(
        $"""
        with again as (update {schema}.pl_parked set attempts = 0 where projection = $1 and generation = 0 and attempts > 0)
        update {schema}.pl_subscriptions set asked = asked + 1 where name = $1
        """,
        cancellation,
        name);

    /// <summary>Leaves an event out that the reaction fails for; what waits behind it goes on. False: no such event is parked for itself.</summary>
    public Task<bool> Discard(string name, long position, CancellationToken cancellation) => Ask(
        $"""
        with gone as (delete from {schema}.pl_parked where projection = $1 and generation = 0 and position = $2 and error is not null returning 1)
        update {schema}.pl_subscriptions set asked = asked + 1 where name = $1 and exists (select from gone)
        """,
        cancellation,
        name,
        position);

    private Task<bool> Ask(string sql, CancellationToken cancellation, params object?[] values) => store.Context.Ask(async (connection, token) =>
    {
        await using var command = store.Context.Command(connection, sql, values);
        return await command.ExecuteNonQueryAsync(token) > 0;
    }, cancellation);
}
