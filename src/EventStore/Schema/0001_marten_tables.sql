-- Marten's own tables (conjoined tenancy, metadata on), so that an unmodified Marten opens this database.
-- Where Marten has made them already they are left as they are.
create table if not exists {schema}.mt_streams (
    tenant_id   varchar     not null default '*DEFAULT*',
    id          uuid        not null,
    type        varchar     null,
    version     bigint      null,
    timestamp   timestamptz not null default now(),
    created     timestamptz not null default now(),
    is_archived bool        null default false,
    constraint pkey_mt_streams_tenant_id_id primary key (tenant_id, id)
);

do $create$
begin
    if to_regclass('{schema}.mt_events') is null then
        create table {schema}.mt_events (
            seq_id         bigint       not null,
            id             uuid         not null,
            stream_id      uuid         null,
            version        bigint       not null,
            data           jsonb        not null,
            bdata          bytea        null,
            type           varchar(500) not null,
            timestamp      timestamptz  not null default now(),
            tenant_id      varchar      null default '*DEFAULT*',
            mt_dotnet_type varchar      null,
            correlation_id varchar      null,
            causation_id   varchar      null,
            headers        jsonb        null,
            is_archived    bool         null default false,
            constraint pkey_mt_events_seq_id primary key (seq_id),
            constraint fkey_mt_events_stream_id_tenant_id foreign key (tenant_id, stream_id) references {schema}.mt_streams (tenant_id, id)
        );
        create unique index pk_mt_events_stream_and_version on {schema}.mt_events (tenant_id, stream_id, version);
        create sequence {schema}.mt_events_sequence owned by {schema}.mt_events.seq_id;
    end if;
end
$create$;

create table if not exists {schema}.mt_event_progression (
    name         varchar     not null constraint pk_mt_event_progression primary key,
    last_seq_id  bigint      null,
    last_updated timestamptz null default transaction_timestamp()
);

create table if not exists {schema}.mt_high_water_skips (
    ending_sequence   bigint      not null constraint pkey_mt_high_water_skips_ending_sequence primary key,
    starting_sequence bigint      not null,
    timestamp         timestamptz null default transaction_timestamp()
);
