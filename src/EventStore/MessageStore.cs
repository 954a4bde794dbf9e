using System.Text;
using Npgsql;
using Platform.Messaging;

namespace Platform.EventStore;

/// <summary>Durable messages in <c>pl_messages</c>, dead ones in <c>pl_dead_letters</c>, commands from outside in <c>pl_inbox</c>.</summary>
public sealed class MessageStore(Store store) : IMessageStore
{
    /// <summary>Rows that one call takes or lists: each becomes an object in memory.</summary>
    public const int MaxLimit = 1_000;

    /// <summary>Characters of an error kept beside a message; the rest is in the log.</summary>
    public const int MaxErrorLength = 4_000;

    /// <summary>How often a waiting node looks for messages of dead nodes: nothing is sent when a node dies.</summary>
    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(1);

    private const string Columns = "m.tenant_id, m.id, m.type, m.key, m.body, m.correlation_id, m.causation_id, m.headers, m.due_at, m.attempts";

    private readonly StoreContext context = store.Context;

    /// <summary>Owners of messages whose lock nobody holds. A skip scan over the index: one step an owner.</summary>
    private string DeadOwners => $"""
        with recursive owners (owner) as (
            select min(owner) from {context.Schema}.pl_messages
            union all
            select (select min(m.owner) from {context.Schema}.pl_messages m where m.owner > o.owner) from owners o where o.owner is not null)
        select owner from owners o where owner is not null and not exists (
            select from pg_locks l where l.locktype = 'advisory' and l.granted and l.objsubid = 1
            and l.database = (select oid from pg_database where datname = current_database())
            and l.classid::bigint << 32 | l.objid::bigint = o.owner)
        """;

    public async Task<INodeMembership> Join(string name, CancellationToken cancellation)
    {
        try { return await NodeMembership.Join(context.Source, name, cancellation); }
        catch (Exception away) when (Postgres.IsAway(away)) { throw new StoreUnavailableException("The database is away.", away); }
    }

    public Task<IReadOnlyList<Envelope>> Claim(long owner, int limit, CancellationToken cancellation) => context.Ask<IReadOnlyList<Envelope>>(
        async (connection, stop) =>
        {
            var dead = await Dead(connection, owner, stop);
            await using var claim = context.Command(
                connection,
                $"""
                with free as (
                    select tenant_id, id, number from {context.Schema}.pl_messages where owner is null order by number limit $2 for update skip locked),
                left_over as (
                    select tenant_id, id, number from {context.Schema}.pl_messages where owner = any($3) order by number limit $2 for update skip locked),
                taken as (
                    update {context.Schema}.pl_messages m set owner = $1
                    from (select * from free union all select * from left_over order by number limit $2) as t
                    where m.tenant_id = t.tenant_id and m.id = t.id
                    returning m.*)
                select {Columns} from taken m order by m.number
                """,
                owner,
                Math.Clamp(limit, 1, MaxLimit),
                dead);
            return await Envelopes(claim, stop);
        },
        cancellation);

    public Task<Envelope?> ClaimOne(long owner, TenantId tenant, Guid id, CancellationToken cancellation) => context.Ask(
        async (connection, stop) =>
        {
            var dead = await Dead(connection, owner, stop);
            await using var claim = context.Command(
                connection,
                $"""
                update {context.Schema}.pl_messages m set owner = $1
                where (tenant_id, id) in (
                    select tenant_id, id from {context.Schema}.pl_messages where tenant_id = $2 and id = $3 and (owner is null or owner = $1 or owner = any($4)) for update skip locked)
                returning {Columns}, m.attempts - m.ended
                """,
                owner,
                tenant.Value,
                id,
                dead);
            await using var reader = await claim.ExecuteReaderAsync(stop);
            return await reader.ReadAsync(stop) ? Read(reader) with { Crashes = reader.GetInt32(10) } : null;
        },
        cancellation);

    public Task<IReadOnlyList<MessageRef>> Owned(long owner, CancellationToken cancellation) => context.Ask(
        async (connection, stop) =>
        {
            await using var list = context.Command(connection, $"select tenant_id, id from {context.Schema}.pl_messages where owner = $1", owner);
            return await References(list, stop);
        },
        cancellation);

    public Task<IReadOnlyList<MessageRef>> Due(DateTimeOffset by, int limit, CancellationToken cancellation) => context.Ask(
        async (connection, stop) =>
        {
            await using var list = context.Command(
                connection,
                $"select tenant_id, id from {context.Schema}.pl_messages where (owner is null or owner in ({DeadOwners})) and (due_at is null or due_at <= $1) order by number limit $2",
                by.UtcDateTime,
                Math.Clamp(limit, 1, MaxLimit));
            return await References(list, stop);
        },
        cancellation);

    public async Task Interrupt(TenantId tenant, Guid streamId, CancellationToken cancellation)
    {
        if (store.Interruption(tenant, streamId) is not { } payload) { return; }
        await context.Ask(
            async (connection, stop) =>
            {
                await using var notify = context.Command(connection, "select pg_notify($1, $2)", Listener.Interrupts, payload);
                return await notify.ExecuteNonQueryAsync(stop);
            },
            cancellation);
    }

    public IDisposable OnInterrupt(Action<TenantId, Guid> interrupted) => store.Listener.OnInterrupt(interrupted);

    public async Task<int> Begin(long owner, TenantId tenant, Guid id, CancellationToken cancellation)
    {
        // Counted at least once: an answer that was lost is counted again, which only makes a message die sooner.
        var attempts = await context.Ask(
            async (connection, stop) =>
            {
                await using var begin = context.Command(
                    connection, $"update {context.Schema}.pl_messages set attempts = attempts + 1 where tenant_id = $1 and id = $2 and owner = $3 returning attempts", tenant.Value, id, owner);
                return (int?)await begin.ExecuteScalarAsync(stop);
            },
            cancellation);
        return attempts ?? throw new OwnershipLostException(id);
    }

    public async Task Retry(long owner, TenantId tenant, Guid id, DateTimeOffset dueAt, string error, CancellationToken cancellation)
    {
        var changed = await Change(
            $"update {context.Schema}.pl_messages set due_at = $4, last_error = $5, ended = attempts where tenant_id = $1 and id = $2 and owner = $3", cancellation, tenant.Value, id, owner, dueAt.UtcDateTime, Shorten(error));
        if (changed == 0) { throw new OwnershipLostException(id); }
    }

    public async Task Bury(long owner, TenantId tenant, Guid id, string errorType, string error, DateTimeOffset now, CancellationToken cancellation)
    {
        // Asked again after a lost answer, the row is in the grave already.
        var changed = await Change(
            $"""
            with dead as (delete from {context.Schema}.pl_messages where tenant_id = $1 and id = $2 and owner = $3 returning *)
            insert into {context.Schema}.pl_dead_letters (tenant_id, id, type, key, body, correlation_id, causation_id, headers, due_at, attempts, enqueued_at, error_type, error, died_at)
            select tenant_id, id, type, key, body, correlation_id, causation_id, headers, due_at, attempts, enqueued_at, $4, $5, $6 from dead
            on conflict (tenant_id, id) do update set attempts = excluded.attempts, error_type = excluded.error_type, error = excluded.error, died_at = excluded.died_at
            """,
            cancellation,
            tenant.Value,
            id,
            owner,
            Shorten(errorType),
            Shorten(error),
            now.UtcDateTime);
        if (changed > 0) { return; }
        var buried = await context.Ask(
            async (connection, stop) =>
            {
                await using var look = context.Command(connection, $"select exists (select from {context.Schema}.pl_dead_letters where tenant_id = $1 and id = $2 and died_at = $3)", tenant.Value, id, now.UtcDateTime);
                return (bool)(await look.ExecuteScalarAsync(stop))!;
            },
            cancellation);
        if (!buried) { throw new OwnershipLostException(id); }
    }

    public async Task Release(long owner, IReadOnlyList<Guid> ids, CancellationToken cancellation)
    {
        var changed = await Change($"update {context.Schema}.pl_messages set owner = null, ended = attempts where owner = $1 and id = any($2)", cancellation, owner, ids.ToArray());
        if (changed > 0) { store.AnnounceWork(); }
    }

    public Task<IReadOnlyList<DeadLetter>> DeadLetters(TenantId? tenant, int limit, CancellationToken cancellation) => context.Ask<IReadOnlyList<DeadLetter>>(
        async (connection, stop) =>
        {
            await using var list = context.Command(
                connection,
                $"select {Columns}, m.error_type, m.error, m.died_at from {context.Schema}.pl_dead_letters m where $1::varchar is null or m.tenant_id = $1 order by m.number limit $2",
                tenant?.Value,
                Math.Clamp(limit, 1, MaxLimit));
            list.Parameters[0].NpgsqlDbType = NpgsqlTypes.NpgsqlDbType.Varchar;
            await using var reader = await list.ExecuteReaderAsync(stop);
            var letters = new List<DeadLetter>();
            while (await reader.ReadAsync(stop)) { letters.Add(new DeadLetter(Read(reader), reader.GetString(10), reader.GetString(11), new DateTimeOffset(reader.GetDateTime(12)))); }
            return letters;
        },
        cancellation);

    public async Task<bool> Requeue(TenantId tenant, Guid id, CancellationToken cancellation)
    {
        var changed = await Change(
            $"""
            with back as (delete from {context.Schema}.pl_dead_letters where tenant_id = $1 and id = $2 returning *)
            insert into {context.Schema}.pl_messages (tenant_id, id, type, key, body, correlation_id, causation_id, headers, enqueued_at)
            select tenant_id, id, type, key, body, correlation_id, causation_id, headers, enqueued_at from back
            on conflict (tenant_id, id) do nothing
            """,
            cancellation,
            tenant.Value,
            id);
        if (changed > 0) { store.AnnounceWork(); }
        return changed > 0;
    }

    public async Task<bool> Discard(TenantId tenant, Guid id, CancellationToken cancellation) =>
        await Change($"delete from {context.Schema}.pl_dead_letters where tenant_id = $1 and id = $2", cancellation, tenant.Value, id) > 0;

    public Task<InboxEntry?> FindCommand(TenantId tenant, string commandId, CancellationToken cancellation) => context.Ask(
        async (connection, stop) =>
        {
            await using var find = context.Command(connection, $"select request_hash, answer from {context.Schema}.pl_inbox where tenant_id = $1 and command_id = $2", tenant.Value, commandId);
            await using var reader = await find.ExecuteReaderAsync(stop);
            return await reader.ReadAsync(stop) ? new InboxEntry(commandId, reader.GetFieldValue<byte[]>(0), reader.GetFieldValue<byte[]>(1)) : null;
        },
        cancellation);

    public async Task WaitForWork(TimeSpan atMost, CancellationToken cancellation)
    {
        var began = context.Time.GetTimestamp();
        while (true)
        {
            var signal = store.Listener.Next(Listener.Work);
            try
            {
                if (await HasWork(cancellation)) { return; }
            }
            catch (StoreUnavailableException) { /* Its caller hears it from Claim. */ }

            var left = atMost - context.Time.GetElapsedTime(began);
            if (left <= TimeSpan.Zero) { return; }
            try
            {
                await signal.WaitAsync(left < Poll ? left : Poll, context.Time, cancellation);
                return;
            }
            catch (TimeoutException) { /* Time to look again. */ }
        }
    }

    internal static string Shorten(string error) => (error.Length <= MaxErrorLength ? error : error[..MaxErrorLength]).Replace('\0', ' ');

    private static async Task<List<Envelope>> Envelopes(NpgsqlCommand command, CancellationToken cancellation)
    {
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        var envelopes = new List<Envelope>();
        while (await reader.ReadAsync(cancellation)) { envelopes.Add(Read(reader)); }
        return envelopes;
    }

    private static async Task<IReadOnlyList<MessageRef>> References(NpgsqlCommand command, CancellationToken cancellation)
    {
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        var references = new List<MessageRef>();
        while (await reader.ReadAsync(cancellation)) { references.Add(new MessageRef(new TenantId(reader.GetString(0)), reader.GetGuid(1))); }
        return references;
    }

    private static Envelope Read(NpgsqlDataReader row) => new(
        row.GetGuid(1),
        new TenantId(row.GetString(0)),
        row.GetString(2),
        row.IsDBNull(3) ? null : row.GetString(3),
        Encoding.UTF8.GetBytes(row.GetString(4)),
        MetadataJson.Read(row.IsDBNull(5) ? null : row.GetString(5), row.IsDBNull(6) ? null : row.GetString(6), row.IsDBNull(7) ? null : row.GetFieldValue<byte[]>(7)),
        row.IsDBNull(8) ? null : new DateTimeOffset(row.GetDateTime(8)),
        Attempts: row.GetInt32(9));

    private Task<int> Change(string sql, CancellationToken cancellation, params object?[] values) => context.Ask(
        async (connection, stop) =>
        {
            await using var command = context.Command(connection, sql, values);
            return await command.ExecuteNonQueryAsync(stop);
        },
        cancellation);

    private async Task<long[]> Dead(NpgsqlConnection connection, long self, CancellationToken cancellation)
    {
        await using var command = context.Command(connection, DeadOwners);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        var dead = new List<long>();
        while (await reader.ReadAsync(cancellation))
        {
            if (reader.GetInt64(0) != self) { dead.Add(reader.GetInt64(0)); }
        }

        return [.. dead];
    }

    private Task<bool> HasWork(CancellationToken cancellation) => context.Ask(
        async (connection, stop) =>
        {
            await using var look = context.Command(
                connection, $"select exists (select from {context.Schema}.pl_messages where owner is null) or exists ({DeadOwners})");
            return (bool)(await look.ExecuteScalarAsync(stop))!;
        },
        cancellation);
}
