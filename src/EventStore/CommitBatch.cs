using Npgsql;
using NpgsqlTypes;
using Platform.EventStore.Projections;
using Platform.Messaging;

namespace Platform.EventStore;

/// <summary>Units flattened into the arrays of one call of <c>pl_commit</c>. Its lists are kept from call to call.</summary>
internal sealed class CommitBatch : IDisposable
{
    /// <summary>A server that does not answer is not waited for at the end.</summary>
    private const int ResetTimeoutSeconds = 2;

    private readonly (NpgsqlCommand Command, HashSet<Column> Columns) commit;
    private readonly List<(NpgsqlCommand Command, HashSet<Column> Columns)> shorter = [];
    private readonly int timeoutSeconds;
    private readonly List<Column> columns = [];
    private readonly Dictionary<StreamKey, Entry> entries = [];
    private readonly List<Entry> sorted = [];
    private readonly List<StreamKey> anyOrder = [];
    private readonly List<CommitUnit> handledBy = [];
    private readonly List<CommitUnit> commandBy = [];

    private readonly Column<string> newTenant, movedTenant, keptTenant, anyTenant, eventTenant, handledTenant, commandTenant, messageTenant;
    private readonly Column<Guid> newId, movedId, keptId, anyId, eventId, eventStream, handledId, messageId;
    private readonly Column<string?> newType, anyType, eventType, eventDotNet, eventCorrelation, eventCausation, messageType, messageKey, messageCorrelation, messageCausation;
    private readonly Column<long> newVersion, movedExpected, movedVersion, keptExpected, anyCount, eventVersion, handledOwner;
    private readonly Column<int> eventAny;
    private readonly Column<DateTimeOffset> newTime, movedTime, anyTime, eventTime, commandTime, messageTime;
    private readonly Column<byte[]?> eventData, eventHeaders, commandHash, commandAnswer, messageHeaders, messageBody;
    private readonly Column<string> commandId;
    private readonly Column<DateTimeOffset?> messageDue;
    private readonly Column<long?> messageOwner;

    private readonly string schema;

    /// <summary>By the statement that follows the documents.</summary>
    private readonly Dictionary<NpgsqlCommand, NpgsqlBatch> projected = [];

    public CommitBatch(string quotedSchema, int timeoutSeconds)
    {
        schema = quotedSchema;
        Documents = new InlineWrite(schema);
        this.timeoutSeconds = timeoutSeconds;

        // In the order of the function's parameters, what most calls have first.
        (newTenant, newId, newType, newVersion, newTime) = (Texts(), Ids(), OptionalTexts(), Numbers(), Times());
        (movedTenant, movedId, movedExpected, movedVersion, movedTime) = (Texts(), Ids(), Numbers(), Numbers(), Times());
        (eventId, eventTenant, eventStream, eventVersion) = (Ids(), Texts(), Ids(), Numbers());
        (eventData, eventType, eventDotNet, eventTime) = (Bytes(NpgsqlDbType.Jsonb), OptionalTexts(), OptionalTexts(), Times());
        (eventCorrelation, eventCausation, eventHeaders) = (OptionalTexts(), OptionalTexts(), Bytes(NpgsqlDbType.Jsonb));
        var streamsAndEvents = columns.Count;
        (handledTenant, handledId, handledOwner) = (Texts(), Ids(), Numbers());
        (messageTenant, messageId, messageType, messageKey) = (Texts(), Ids(), OptionalTexts(), OptionalTexts());
        (messageBody, messageCorrelation, messageCausation, messageHeaders) = (Bytes(NpgsqlDbType.Text), OptionalTexts(), OptionalTexts(), Bytes(NpgsqlDbType.Jsonb));
        messageDue = Add<DateTimeOffset?>(NpgsqlDbType.TimestampTz);
        messageOwner = Add<long?>(NpgsqlDbType.Bigint);
        messageTime = Times();
        var andMessages = columns.Count;
        (commandTenant, commandId, commandHash, commandAnswer, commandTime) = (Texts(), Texts(), Bytes(NpgsqlDbType.Bytea), Bytes(NpgsqlDbType.Bytea), Times());
        (keptTenant, keptId, keptExpected) = (Texts(), Ids(), Numbers());
        (anyTenant, anyId, anyType, anyCount, anyTime) = (Texts(), Ids(), OptionalTexts(), Numbers(), Times());
        eventAny = Add<int>(NpgsqlDbType.Integer);

        // From the shortest on. What only begins streams, or only goes on with them, is one plain statement, as a function's call costs half as much again.
        const int Streams = 5;
        var events = columns[(2 * Streams)..streamsAndEvents];
        shorter.Add(Statement([.. columns[..Streams], .. events], Begin));
        shorter.Add(Statement([.. columns[Streams..(2 * Streams)], .. events], GoOn));
        shorter.Add(Statement(columns[..streamsAndEvents], Call));
        shorter.Add(Statement(columns[..andMessages], Call));
        commit = Statement(columns, Call);

        (NpgsqlCommand, HashSet<Column>) Statement(List<Column> given, Func<int, string> text)
        {
            var command = new NpgsqlCommand { CommandText = text(given.Count), CommandTimeout = timeoutSeconds };
            foreach (var column in given) { command.Parameters.Add(column.Parameter()); }
            return (command, [.. given]);
        }

        string Call(int count) => $"select {schema}.pl_commit({Arguments(1, count)})";

        string Begin(int count) => $"""
            with n as (
                insert into {schema}.mt_streams (tenant_id, id, type, version, timestamp, created, is_archived)
                select tenant, id, type, version, time, time, false from unnest({Arguments(1, Streams)}) as n (tenant, id, type, version, time)
                returning 1)
            {Append(Streams + 1, count)} where (select count(*) from n) > 0
            """;

        string GoOn(int count) => $"""
            with x as (
                update {schema}.mt_streams s set version = x.version, timestamp = x.time
                from unnest({Arguments(1, Streams)}) as x (tenant, id, expected, version, time)
                where s.tenant_id = x.tenant and s.id = x.id and s.version = x.expected and not coalesce(s.is_archived, false)
                returning 1)
            {Append(Streams + 1, count)} where {schema}.pl_hold((select count(*) from x), cardinality($2))
            """;

        // The condition is looked at once and first, so that numbers are drawn when nothing can be refused any more.
        string Append(int from, int to) => $"""
            insert into {schema}.mt_events (seq_id, id, stream_id, version, data, type, timestamp, tenant_id, mt_dotnet_type, correlation_id, causation_id, headers, is_archived)
            select nextval('{schema}.mt_events_sequence'::regclass), id, stream, version, data, type, time, tenant, dotnet, correlation, causation, headers, false
            from unnest({Arguments(from, to)}) as e (id, tenant, stream, version, data, type, dotnet, time, correlation, causation, headers)
            """;

        static string Arguments(int from, int to) => string.Join(", ", Enumerable.Range(from, to - from + 1).Select(n => $"${n}"));
    }

    public List<CommitUnit> Units { get; } = [];

    /// <summary>What inline projections made of the units.</summary>
    public InlineWrite Documents { get; }

    public int Events => eventId.Values.Count;

    public bool HasUnownedMessages { get; private set; }

    public async Task Prepare(NpgsqlConnection connection, CancellationToken cancellation)
    {
        await using (var set = new NpgsqlCommand("set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off", connection)) { await set.ExecuteNonQueryAsync(cancellation); }
        foreach (var (command, _) in shorter.Append(commit))
        {
            command.Connection = connection;
            await command.PrepareAsync(cancellation);
        }
    }

    /// <summary>Before the connection goes back to where others take it from.</summary>
    public static async Task Reset(NpgsqlConnection connection)
    {
        await using var reset = new NpgsqlCommand("reset plan_cache_mode; reset enable_seqscan; reset enable_hashjoin; reset enable_mergejoin", connection) { CommandTimeout = ResetTimeoutSeconds };
        await reset.ExecuteNonQueryAsync();
    }

    public void Fill(IEnumerable<CommitUnit> units)
    {
        Clear();
        Units.AddRange(units);
        foreach (var unit in Units) { Gather(unit); }
        EmitStreams();
        foreach (var unit in Units) { Emit(unit); }
    }

    /// <summary>Sends the call. It returns when everything is durable, or, within a transaction, done.</summary>
    public Task Execute(CancellationToken cancellation) => Shortest().ExecuteNonQueryAsync(cancellation);

    /// <summary>As <see cref="Execute"/>, with <see cref="Documents"/> before it: one round trip, and one transaction, as the server sees no end before the last.</summary>
    public async Task ExecuteProjected(CancellationToken cancellation)
    {
        if (Documents.IsEmpty)
        {
            await Execute(cancellation);
            return;
        }

        var statement = Shortest();
        if (!projected.TryGetValue(statement, out var both))
        {
            var call = new NpgsqlBatchCommand(statement.CommandText);
            foreach (NpgsqlParameter parameter in statement.Parameters) { call.Parameters.Add(parameter.Clone()); }
            projected[statement] = both = new NpgsqlBatch(statement.Connection) { Timeout = timeoutSeconds, BatchCommands = { Documents.Command, call } };
            await both.PrepareAsync(cancellation);
        }

        await both.ExecuteNonQueryAsync(cancellation);
    }

    /// <summary>After a refusal: gives every unit that cannot pass its outcome. Returns how many were found.</summary>
    public async Task<int> FindRefused(NpgsqlConnection connection, CancellationToken cancellation)
    {
        await using var check = new NpgsqlCommand($"""
            select 'd', i.n, 0::bigint, b.request_hash, b.answer
            from unnest($6::varchar[], $7::varchar[]) with ordinality as i (tenant, command, n) join {schema}.pl_inbox b on b.tenant_id = i.tenant and b.command_id = i.command
            union all
            select 'o', h.n, 0, null, null
            from unnest($3::varchar[], $4::uuid[], $5::bigint[]) with ordinality as h (tenant, id, owner, n)
            where not exists (select from {schema}.pl_messages m where m.tenant_id = h.tenant and m.id = h.id and m.owner = h.owner)
            union all
            select case when s.is_archived then 'a' else 'v' end, s.n, s.version, null, null
            from (
                select s.n, s.expected, s.adds, coalesce(t.version, 0) as version, coalesce(t.is_archived, false) as is_archived
                from unnest($1::varchar[], $2::uuid[], $8::bigint[], $9::bool[]) with ordinality as s (tenant, id, expected, adds, n)
                left join {schema}.mt_streams t on t.tenant_id = s.tenant and t.id = s.id) as s
            where s.is_archived and s.adds or s.expected >= 0 and s.expected <> s.version
            """, connection)
        { CommandTimeout = timeoutSeconds };
        Add(check, sorted.ConvertAll(e => e.Key.Tenant).ToArray());
        Add(check, sorted.ConvertAll(e => e.Key.Id).ToArray());
        Add(check, handledTenant.Values.ToArray());
        Add(check, handledId.Values.ToArray());
        Add(check, handledOwner.Values.ToArray());
        Add(check, commandTenant.Values.ToArray());
        Add(check, commandId.Values.ToArray());
        Add(check, sorted.ConvertAll(e => e.Expected).ToArray());
        Add(check, sorted.ConvertAll(e => e.Count > 0).ToArray());

        var found = 0;
        await using var reader = await check.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            var at = (int)reader.GetInt64(1) - 1;
            var kind = reader.GetString(0);
            var unit = kind switch { "d" => commandBy[at], "o" => handledBy[at], _ => sorted[at].First };

            // What a caller was told before wins over everything else; losing the message wins over what it would have done.
            if (unit.Outcome != Outcome.Waiting) { continue; }
            found++;
            switch (kind)
            {
                case "d":
                    unit.Outcome = Outcome.Duplicate;
                    unit.Recorded = new InboxEntry(commandId.Values[at], reader.GetFieldValue<byte[]>(3), reader.GetFieldValue<byte[]>(4));
                    break;
                case "o":
                    unit.Outcome = Outcome.OwnershipLost;
                    break;
                default:
                    unit.Outcome = kind == "a" ? Outcome.Archived : Outcome.Conflict;
                    unit.RefusedStream = sorted[at].Key.Id;
                    unit.Actual = reader.GetInt64(2);
                    break;
            }
        }

        return found;
    }

    /// <summary>
    /// Whether the call was committed, asked when its backend is gone: all of it or nothing was, so one witness is enough. Messages
    /// alone are no witness and are sent again, which their ids make harmless.
    /// </summary>
    public async Task<bool> IsThere(NpgsqlConnection connection, CancellationToken cancellation)
    {
        await using var look = new NpgsqlCommand { Connection = connection, CommandTimeout = timeoutSeconds };
        if (eventId.Values.Count > 0)
        {
            // An id is made once for each deciding, and nobody deletes events.
            var exact = eventAny.Values.Count == 0 || eventAny.Values[0] == 0;
            look.CommandText = $"select exists (select from {schema}.mt_events where tenant_id = $1 and stream_id = $2 and id = $3 and version {(exact ? "=" : ">=")} $4)";
            Add(look, eventTenant.Values[0]);
            Add(look, eventStream.Values[0]);
            Add(look, eventId.Values[0]);
            Add(look, eventVersion.Values[0]);
        }
        else if (handledId.Values.Count > 0)
        {
            // While this node lives nobody else takes the row away; when its membership is lost, its work is dropped anyway.
            look.CommandText = $"select not exists (select from {schema}.pl_messages where tenant_id = $1 and id = $2 and owner = $3)";
            Add(look, handledTenant.Values[0]);
            Add(look, handledId.Values[0]);
            Add(look, handledOwner.Values[0]);
        }
        else if (commandId.Values.Count > 0)
        {
            look.CommandText = $"select exists (select from {schema}.pl_inbox where tenant_id = $1 and command_id = $2 and request_hash = $3 and answer = $4)";
            Add(look, commandTenant.Values[0]);
            Add(look, commandId.Values[0]);
            Add(look, commandHash.Values[0]);
            Add(look, commandAnswer.Values[0]);
        }
        else
        {
            return false;
        }

        return (bool)(await look.ExecuteScalarAsync(cancellation))!;
    }

    public void Dispose()
    {
        foreach (var both in projected.Values) { both.Dispose(); }
        foreach (var (command, _) in shorter.Append(commit)) { command.Dispose(); }
    }

    /// <summary>The statement that leaves out as many empty arrays as it can.</summary>
    private NpgsqlCommand Shortest()
    {
        foreach (var (command, taken) in shorter)
        {
            if (eventId.Values.Count > 0 && columns.TrueForAll(column => column.IsEmpty || taken.Contains(column))) { return command; }
        }

        return commit.Command;
    }

    private static void Add<T>(NpgsqlCommand command, T value) => command.Parameters.Add(new NpgsqlParameter<T> { TypedValue = value });

    private Column<T> Add<T>(NpgsqlDbType type)
    {
        var column = new Column<T>(type);
        columns.Add(column);
        return column;
    }

    private Column<string> Texts() => Add<string>(NpgsqlDbType.Varchar);

    private Column<string?> OptionalTexts() => Add<string?>(NpgsqlDbType.Varchar);

    private Column<Guid> Ids() => Add<Guid>(NpgsqlDbType.Uuid);

    private Column<long> Numbers() => Add<long>(NpgsqlDbType.Bigint);

    private Column<DateTimeOffset> Times() => Add<DateTimeOffset>(NpgsqlDbType.TimestampTz);

    private Column<byte[]?> Bytes(NpgsqlDbType type) => Add<byte[]?>(type);

    public void Clear()
    {
        Units.Clear();
        entries.Clear();
        sorted.Clear();
        anyOrder.Clear();
        handledBy.Clear();
        commandBy.Clear();
        HasUnownedMessages = false;
        foreach (var column in columns) { column.Clear(); }
    }

    /// <summary>Units of one chain meet in one entry: the first says what is expected, all add to it.</summary>
    private void Gather(CommitUnit unit)
    {
        foreach (var part in unit.Streams)
        {
            var key = new StreamKey(unit.Tenant.Value, part.Id);
            if (!entries.TryGetValue(key, out var entry))
            {
                entry = new Entry(key, part.Type, part.Expected, unit);
                entries.Add(key, entry);
                sorted.Add(entry);
            }

            entry.Count += part.Events.Length;
            entry.Time = unit.Time;
        }
    }

    private void EmitStreams()
    {
        if (sorted.Count > 1) { sorted.Sort(static (a, b) => a.Key.CompareTo(b.Key)); }
        foreach (var entry in sorted)
        {
            var (tenant, id) = (entry.Key.Tenant, entry.Key.Id);
            if (entry.Count == 0)
            {
                if (entry.Expected < 0) { continue; }
                keptTenant.Values.Add(tenant);
                keptId.Values.Add(id);
                keptExpected.Values.Add(entry.Expected);
            }
            else if (entry.Expected == 0)
            {
                newTenant.Values.Add(tenant);
                newId.Values.Add(id);
                newType.Values.Add(entry.Type);
                newVersion.Values.Add(entry.Count);
                newTime.Values.Add(entry.Time);
            }
            else if (entry.Expected > 0)
            {
                movedTenant.Values.Add(tenant);
                movedId.Values.Add(id);
                movedExpected.Values.Add(entry.Expected);
                movedVersion.Values.Add(entry.Expected + entry.Count);
                movedTime.Values.Add(entry.Time);
            }
            else
            {
                anyTenant.Values.Add(tenant);
                anyId.Values.Add(id);
                anyType.Values.Add(entry.Type);
                anyCount.Values.Add(entry.Count);
                anyTime.Values.Add(entry.Time);
                entry.Any = anyId.Values.Count;
            }
        }
    }

    private void Emit(CommitUnit unit)
    {
        var tenant = unit.Tenant.Value;
        var headers = unit.Streams.Length == 0 ? null : MetadataJson.Write(unit.Metadata);
        foreach (var part in unit.Streams)
        {
            if (part.Events.Length == 0) { continue; }
            var any = anyId.Values.Count == 0 ? 0 : entries[new StreamKey(tenant, part.Id)].Any;
            var version = Math.Max(part.Expected, 0);
            foreach (ref readonly var stored in part.Events.AsSpan())
            {
                eventId.Values.Add(stored.Id);
                eventTenant.Values.Add(tenant);
                eventStream.Values.Add(part.Id);
                eventVersion.Values.Add(++version);
                if (anyId.Values.Count > 0) { eventAny.Values.Add(any); }
                eventData.Values.Add(stored.Json);
                eventType.Values.Add(stored.Type.Alias);
                eventDotNet.Values.Add(stored.Type.DotNetType);
                eventTime.Values.Add(unit.Time);
                eventCorrelation.Values.Add(unit.Metadata.CorrelationId);
                eventCausation.Values.Add(unit.Metadata.CausationId);
                eventHeaders.Values.Add(headers);
            }
        }

        if (unit.Handled is { } handled)
        {
            handledTenant.Values.Add(handled.Tenant.Value);
            handledId.Values.Add(handled.Id);
            handledOwner.Values.Add(handled.Owner);
            handledBy.Add(unit);
        }

        if (unit.Inbox is { } command)
        {
            commandTenant.Values.Add(tenant);
            commandId.Values.Add(command.CommandId);
            commandHash.Values.Add(command.RequestHash.ToArray());
            commandAnswer.Values.Add(command.Answer.ToArray());
            commandTime.Values.Add(unit.Time);
            commandBy.Add(unit);
        }

        for (var i = 0; i < unit.Messages.Count; i++)
        {
            var message = unit.Messages[i];
            messageTenant.Values.Add(message.Tenant.Value);
            messageId.Values.Add(message.Id);
            messageType.Values.Add(message.Type);
            messageKey.Values.Add(message.Key);
            messageBody.Values.Add(message.Body.ToArray());
            messageCorrelation.Values.Add(message.Metadata.CorrelationId);
            messageCausation.Values.Add(message.Metadata.CausationId);
            messageHeaders.Values.Add(MetadataJson.Write(message.Metadata));
            messageDue.Values.Add(message.DueAt?.ToUniversalTime() ?? (message.Delay is { } delay ? unit.Time + delay : null));
            messageOwner.Values.Add(unit.Owner);
            messageTime.Values.Add(unit.Time);
            HasUnownedMessages |= unit.Owner is null;
        }
    }

    private sealed class Entry(StreamKey key, string? type, long expected, CommitUnit first)
    {
        public StreamKey Key { get; } = key;

        public string? Type { get; } = type;

        public long Expected { get; } = expected;

        public CommitUnit First { get; } = first;

        public int Count { get; set; }

        public DateTimeOffset Time { get; set; }

        public int Any { get; set; }
    }

    private abstract class Column
    {
        public abstract bool IsEmpty { get; }

        /// <summary>The values, for a command.</summary>
        public abstract NpgsqlParameter Parameter();

        public abstract void Clear();
    }

    private sealed class Column<T>(NpgsqlDbType type) : Column
    {
        public List<T> Values { get; } = [];

        public override bool IsEmpty => Values.Count == 0;

        public override NpgsqlParameter Parameter() => new NpgsqlParameter<List<T>> { TypedValue = Values, NpgsqlDbType = NpgsqlDbType.Array | type };

        public override void Clear() => Values.Clear();
    }
}
