using Npgsql;
using Platform.Testing;

namespace Platform.EventStore.Tests;

public class The_schema
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task is_made_once_when_several_nodes_start_together()
    {
        await using var db = await TestDatabase.Create(Cancellation);
        await using var source = NpgsqlDataSource.Create(db.ConnectionString);

        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Schema.Migrate(source, cancellation: Cancellation)));

        Assert.Equal(Schema.Steps.Select(s => s.Version), await Sql.List<int>(source, "select version from pl_schema order by 1"));
    }

    [Fact]
    public async Task has_Martens_columns_keys_and_indexes()
    {
        await using var db = await TestDatabase.Create(Cancellation);
        await using var source = NpgsqlDataSource.Create(db.ConnectionString);
        await Schema.Migrate(source, cancellation: Cancellation);

        var columns = await Sql.List<string>(source, """
            select format('%s.%s %s %s %s', table_name, column_name, case data_type when 'character varying' then 'varchar' || coalesce('(' || character_maximum_length || ')', '')
                   when 'timestamp with time zone' then 'timestamptz' else data_type end, case is_nullable when 'YES' then 'null' else 'not null' end, column_default)
            from information_schema.columns where table_name like 'mt\_%' order by table_name, ordinal_position
            """);
        Assert.Equal(
            [
                "mt_event_progression.name varchar not null ",
                "mt_event_progression.last_seq_id bigint null ",
                "mt_event_progression.last_updated timestamptz null transaction_timestamp()",
                "mt_events.seq_id bigint not null ",
                "mt_events.id uuid not null ",
                "mt_events.stream_id uuid null ",
                "mt_events.version bigint not null ",
                "mt_events.data jsonb not null ",
                "mt_events.bdata bytea null ",
                "mt_events.type varchar(500) not null ",
                "mt_events.timestamp timestamptz not null now()",
                "mt_events.tenant_id varchar null '*DEFAULT*'::character varying",
                "mt_events.mt_dotnet_type varchar null ",
                "mt_events.correlation_id varchar null ",
                "mt_events.causation_id varchar null ",
                "mt_events.headers jsonb null ",
                "mt_events.is_archived boolean null false",
                "mt_high_water_skips.ending_sequence bigint not null ",
                "mt_high_water_skips.starting_sequence bigint not null ",
                "mt_high_water_skips.timestamp timestamptz null transaction_timestamp()",
                "mt_streams.tenant_id varchar not null '*DEFAULT*'::character varying",
                "mt_streams.id uuid not null ",
                "mt_streams.type varchar null ",
                "mt_streams.version bigint null ",
                "mt_streams.timestamp timestamptz not null now()",
                "mt_streams.created timestamptz not null now()",
                "mt_streams.is_archived boolean null false",
            ],
            columns);

        Assert.Equal(
            [
                "fkey_mt_events_stream_id_tenant_id FOREIGN KEY (tenant_id, stream_id) REFERENCES mt_streams(tenant_id, id)",
                "pk_mt_event_progression PRIMARY KEY (name)",
                "pkey_mt_events_seq_id PRIMARY KEY (seq_id)",
                "pkey_mt_high_water_skips_ending_sequence PRIMARY KEY (ending_sequence)",
                "pkey_mt_streams_tenant_id_id PRIMARY KEY (tenant_id, id)",
            ],
            await Sql.List<string>(source, "select conname || ' ' || pg_get_constraintdef(oid) from pg_constraint where conrelid::regclass::text like 'mt\\_%' order by conname"));
        Assert.Equal(
            ["CREATE UNIQUE INDEX pk_mt_events_stream_and_version ON public.mt_events USING btree (tenant_id, stream_id, version)"],
            await Sql.List<string>(source, "select indexdef from pg_indexes where indexname = 'pk_mt_events_stream_and_version'"));
        Assert.Equal(
            "mt_events.seq_id",
            (await Sql.List<string>(source, """
                select d.refobjid::regclass || '.' || a.attname from pg_depend d join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
                where d.objid = 'mt_events_sequence'::regclass and d.deptype = 'a'
                """)).Single());
    }

    [Fact]
    public async Task of_a_newer_program_is_refused_with_both_numbers()
    {
        await using var db = await TestDatabase.Create(Cancellation);
        await using var source = NpgsqlDataSource.Create(db.ConnectionString);
        await Schema.Migrate(source, cancellation: Cancellation);
        await Sql.Run(source, "insert into pl_schema (version, name) values (9000, 'later')");

        var refused = await Assert.ThrowsAsync<SchemaTooNewException>(() => Schema.Migrate(source, cancellation: Cancellation));

        Assert.Equal(9000, refused.Found);
        Assert.Equal(Schema.Steps[^1].Version, refused.Known);
    }

    [Fact]
    public async Task can_have_another_name_beside_public()
    {
        await using var db = await TestDatabase.Create(Cancellation);
        await using var source = NpgsqlDataSource.Create(db.ConnectionString);

        await Schema.Migrate(source, "tests_of_ours", Cancellation);

        Assert.Equal(Schema.Steps.Count, (await Sql.List<int>(source, "select version from tests_of_ours.pl_schema")).Count);
        Assert.Empty(await Sql.List<string>(source, "select tablename::text from pg_tables where schemaname = 'public'"));
    }

    [Theory]
    [InlineData("")]
    [InlineData("1st")]
    [InlineData("a\"b")]
    [InlineData("Upper")]
    [InlineData("a;b")]
    [InlineData("a123456789b123456789c123456789d123456789e123456789f123456789g123")]
    public void has_a_name_that_needs_no_care_in_SQL(string name) => Assert.Throws<ArgumentException>(() => Schema.Quote(name));

    [Fact]
    public async Task is_added_beside_tables_and_events_that_Marten_made()
    {
        await using var db = await TestDatabase.Create(Cancellation);
        await using var source = NpgsqlDataSource.Create(db.ConnectionString);
        await Sql.Run(source, Schema.Steps[0].Sql.Replace("{schema}", "public", StringComparison.Ordinal));
        await Sql.Run(source, "alter table mt_events add column made_by_marten integer");
        await Sql.Run(source, Marten.Append("00000000-0000-0000-0000-000000000001", 6001));

        await Schema.Migrate(source, cancellation: Cancellation);

        Assert.Equal([5000, 1001], await Sql.List<int>(source, "select cardinality(seqs) from pl_pending order by seqs[1]"));
        Assert.Single(await Sql.List<string>(source, "select column_name::text from information_schema.columns where column_name = 'made_by_marten'"));
    }

    [Fact]
    public async Task notes_once_a_statement_which_transaction_appended_what()
    {
        await using var db = await TestDatabase.Create(Cancellation);
        await using var source = NpgsqlDataSource.Create(db.ConnectionString);
        await Schema.Migrate(source, cancellation: Cancellation);

        await Sql.Run(source, Marten.Append("00000000-0000-0000-0000-000000000001", 3));
        await Sql.Run(source, Marten.Append("00000000-0000-0000-0000-000000000002", 2));
        await Sql.Run(source, "insert into mt_events (seq_id, id, stream_id, version, data, type) select 1, null, null, 1, '{}', 'none' where false");

        Assert.Equal(["{1,2,3}", "{4,5}"], await Sql.List<string>(source, "select seqs::text from pl_pending order by xid"));
        Assert.True((await Sql.List<bool>(source, "select bool_and(xid < pg_current_xact_id()) from pl_pending")).Single());
    }
}

/// <summary>Plain inserts, as Marten does them.</summary>
internal static class Marten
{
    public static string Append(string streamId, int count, string alias = "counted", string json = "{\"By\": 1}") => $$"""
        insert into mt_streams (tenant_id, id, type, version, timestamp, created) values ('*DEFAULT*', '{{streamId}}', 'counter', {{count}}, now(), now())
        on conflict (tenant_id, id) do update set version = mt_streams.version + {{count}};
        insert into mt_events (seq_id, id, stream_id, version, data, type, timestamp, tenant_id)
        select nextval('mt_events_sequence'), gen_random_uuid(), s.id, s.version - {{count}} + n, '{{json}}', '{{alias}}', now(), s.tenant_id
        from generate_series(1, {{count}}) as n, mt_streams s where s.tenant_id = '*DEFAULT*' and s.id = '{{streamId}}' order by n;
        """;
}

internal static class Sql
{
    public static async Task Run(NpgsqlDataSource source, string sql)
    {
        await using var command = source.CreateCommand(sql);
        await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
    }

    public static async Task Run(NpgsqlConnection connection, string sql)
    {
#pragma warning disable CA2100 // Written by the tests themselves.
        await using var command = new NpgsqlCommand(sql, connection);
#pragma warning restore CA2100
        await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
    }

    public static async Task<List<T>> List<T>(NpgsqlDataSource source, string sql)
    {
        await using var command = source.CreateCommand(sql);
        await using var reader = await command.ExecuteReaderAsync(TestContext.Current.CancellationToken);
        var rows = new List<T>();
        while (await reader.ReadAsync(TestContext.Current.CancellationToken)) { rows.Add(reader.GetFieldValue<T>(0)); }
        return rows;
    }

    public static async Task<T> Value<T>(NpgsqlDataSource source, string sql) => (await List<T>(source, sql)).Single();
}
