using System.Text.Json;
using Npgsql;
using NpgsqlTypes;
using Platform.EventStore;

namespace Platform.Bench;

/// <summary>
/// The peer: Marten's tables by themselves (no trigger, no side table, no sealer), written with plain Npgsql as one would by hand: a connection a writer, every
/// statement prepared, arrays in binary, the same columns and the same JSON serializer. It redacts nothing and tells nobody.
/// </summary>
internal sealed class Raw : IAsyncDisposable
{
    public const string Tenant = "*DEFAULT*";

    private const string Columns = "seq_id, id, stream_id, version, data, type, timestamp, tenant_id, mt_dotnet_type, correlation_id, causation_id, headers, is_archived";

    private readonly NpgsqlConnection connection;
    private readonly NpgsqlCommand start;
    private readonly NpgsqlCommand append;
    private readonly NpgsqlCommand read;

    private Raw(NpgsqlConnection connection)
    {
        this.connection = connection;
        start = Command(
            $"""
            with s as (insert into mt_streams (tenant_id, id, type, version, timestamp, created, is_archived) values ($1, $2, $3, $4, $5, $5, false))
            insert into mt_events ({Columns})
            select nextval('mt_events_sequence'::regclass), e.id, $2, e.version, e.data, $6, $5, $1, $7, $8, $9, null, false from unnest($10, $11, $12) as e (id, version, data)
            """,
            NpgsqlDbType.Varchar, NpgsqlDbType.Uuid, NpgsqlDbType.Varchar, NpgsqlDbType.Bigint, NpgsqlDbType.TimestampTz, NpgsqlDbType.Varchar, NpgsqlDbType.Varchar, NpgsqlDbType.Varchar, NpgsqlDbType.Varchar,
            NpgsqlDbType.Array | NpgsqlDbType.Uuid, NpgsqlDbType.Array | NpgsqlDbType.Bigint, NpgsqlDbType.Array | NpgsqlDbType.Jsonb);
        append = Command(
            $"""
            with s as (update mt_streams set version = $3 + 1, timestamp = $4 where tenant_id = $1 and id = $2 and version = $3 and not coalesce(is_archived, false) returning id)
            insert into mt_events ({Columns})
            select nextval('mt_events_sequence'::regclass), $5, s.id, $3 + 1, $6, $7, $4, $1, $8, $9, $10, null, false from s
            """,
            NpgsqlDbType.Varchar, NpgsqlDbType.Uuid, NpgsqlDbType.Bigint, NpgsqlDbType.TimestampTz, NpgsqlDbType.Uuid, NpgsqlDbType.Jsonb, NpgsqlDbType.Varchar, NpgsqlDbType.Varchar, NpgsqlDbType.Varchar, NpgsqlDbType.Varchar);
        read = Command("select version, type, data from mt_events where tenant_id = $1 and stream_id = $2 order by version", NpgsqlDbType.Varchar, NpgsqlDbType.Uuid);
    }

    /// <summary>Marten's tables as the store's own first step makes them, in a database of their own.</summary>
    public static async Task Tables(NpgsqlDataSource source)
    {
        using var script = new StreamReader(typeof(Store).Assembly.GetManifestResourceStream("0001_marten_tables.sql") ?? throw new MissingManifestResourceException());
        await using var make = source.CreateCommand((await script.ReadToEndAsync()).Replace("{schema}", "public", StringComparison.Ordinal));
        await make.ExecuteNonQueryAsync();
    }

    public static async Task<Raw> Open(NpgsqlDataSource source)
    {
        var raw = new Raw(await source.OpenConnectionAsync());
        foreach (var command in (NpgsqlCommand[])[raw.start, raw.append, raw.read]) { await command.PrepareAsync(); }
        return raw;
    }

    public static async Task<Raw[]> Open(NpgsqlDataSource source, int writers)
    {
        var all = new Raw[writers];
        for (var i = 0; i < writers; i++) { all[i] = await Open(source); }
        return all;
    }

    /// <summary>A new stream with these events, in one statement.</summary>
    public Task Start(Guid stream, Noted[] events, DateTimeOffset now, string correlation, string causation)
    {
        var ids = new Guid[events.Length];
        var versions = new long[events.Length];
        var data = new byte[events.Length][];
        for (var i = 0; i < events.Length; i++) { (ids[i], versions[i], data[i]) = (Guid.CreateVersion7(now), i + 1, JsonSerializer.SerializeToUtf8Bytes(events[i], NoteJson.Default.Noted)); }
        Set(start, Tenant, stream, Note.StreamType, (long)events.Length, now, Note.Type.Alias, Note.Type.DotNetType, correlation, causation, ids, versions, data);
        return start.ExecuteNonQueryAsync();
    }

    /// <summary>The state by the stream's events, and its version.</summary>
    public async Task<(Notes? State, long Version)> Load(Guid stream)
    {
        Set(read, Tenant, stream);
        await using var reader = await read.ExecuteReaderAsync();
        Notes? state = null;
        long version = 0;
        while (await reader.ReadAsync())
        {
            version = reader.GetInt64(0);
            if (reader.GetString(1) == Note.Type.Alias) { state = Note.After(state, JsonSerializer.Deserialize(reader.GetFieldValue<byte[]>(2), NoteJson.Default.Noted)!); }
        }

        return (state, version);
    }

    /// <summary>One event on a stream that is at a version, in one statement.</summary>
    /// <exception cref="InvalidOperationException">It is at another one.</exception>
    public async Task Append(Guid stream, long version, Noted noted, DateTimeOffset now, string correlation, string causation)
    {
        Set(append, Tenant, stream, version, now, Guid.CreateVersion7(now), JsonSerializer.SerializeToUtf8Bytes(noted, NoteJson.Default.Noted), Note.Type.Alias, Note.Type.DotNetType, correlation, causation);
        if (await append.ExecuteNonQueryAsync() != 1) { throw new InvalidOperationException($"{stream} is not at {version}."); }
    }

    public async ValueTask DisposeAsync()
    {
        await start.DisposeAsync();
        await append.DisposeAsync();
        await read.DisposeAsync();
        await connection.DisposeAsync();
    }

    private static void Set(NpgsqlCommand command, params ReadOnlySpan<object> values)
    {
        for (var i = 0; i < values.Length; i++) { command.Parameters[i].Value = values[i]; }
    }

    private NpgsqlCommand Command(string sql, params NpgsqlDbType[] types)
    {
        var command = new NpgsqlCommand(sql, connection);
        foreach (var type in types) { command.Parameters.Add(new NpgsqlParameter { NpgsqlDbType = type }); }
        return command;
    }
}

internal sealed class MissingManifestResourceException() : InvalidOperationException("The store's first schema step is not where it was.");
