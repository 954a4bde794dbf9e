using System.Text.Json;
using Npgsql;
using NpgsqlTypes;

namespace Platform.Bench;

/// <summary>Fills tables quickly, with what nobody measures.</summary>
internal static class Log
{
    /// <summary>Streams with so many events each; those of one stream follow one another.</summary>
    public static async Task Write(NpgsqlDataSource source, Guid[] streams, int events, int from = 1)
    {
        await using var write = source.CreateCommand("""
            with s as (
                insert into mt_streams (tenant_id, id, type, version, timestamp, created, is_archived)
                select $5, id, $6, $3 + $4 - 1, now(), now(), false from unnest($1) as id
                on conflict (tenant_id, id) do update set version = excluded.version)
            insert into mt_events (seq_id, id, stream_id, version, data, type, timestamp, tenant_id, mt_dotnet_type, correlation_id, causation_id, headers, is_archived)
            select nextval('mt_events_sequence'), gen_random_uuid(), stream, version, jsonb_set($2, '{Number}', to_jsonb(version)), $7, now(), $5, $8, stream::text, stream::text, null, false
            from (select stream, version from unnest($1) with ordinality as s (stream, n), generate_series($4, $3 + $4 - 1) as version order by n, version) as e
            """);
        write.Parameters.Add(new NpgsqlParameter<Guid[]> { TypedValue = streams });
        write.Parameters.Add(new NpgsqlParameter { Value = JsonSerializer.SerializeToUtf8Bytes(Note.Of(0), NoteJson.Default.Noted), NpgsqlDbType = NpgsqlDbType.Jsonb });
        write.Parameters.Add(new NpgsqlParameter<long> { TypedValue = events });
        write.Parameters.Add(new NpgsqlParameter<long> { TypedValue = from });
        write.Parameters.Add(new NpgsqlParameter<string> { TypedValue = Raw.Tenant });
        write.Parameters.Add(new NpgsqlParameter<string> { TypedValue = Note.StreamType });
        write.Parameters.Add(new NpgsqlParameter<string> { TypedValue = Note.Type.Alias });
        write.Parameters.Add(new NpgsqlParameter<string> { TypedValue = Note.Type.DotNetType });
        await write.ExecuteNonQueryAsync();
    }
}
