-- Durable positions of subscribers that write elsewhere than in pl_documents.
create table {schema}.pl_subscriptions (
    name       varchar     not null primary key,
    position   bigint      not null,
    updated_at timestamptz not null default clock_timestamp()
);

-- A projection is built in generations: a new version, or a rebuild, grows beside the live one and takes its place.
create table {schema}.pl_projections (
    name       varchar     not null,
    generation bigint      not null,
    version    integer     not null,
    position   bigint      not null,
    live       boolean     not null,
    updated_at timestamptz not null default clock_timestamp(),
    primary key (name, generation)
);
create unique index pl_projections_live on {schema}.pl_projections (name) where live;

create table {schema}.pl_documents (
    projection varchar not null,
    generation bigint  not null,
    tenant_id  varchar not null,
    id         varchar not null,
    sort_key   varchar not null collate "C",
    data       jsonb   not null,
    primary key (projection, generation, tenant_id, id)
) with (autovacuum_vacuum_scale_factor = 0.02, fillfactor = 90);
create index pl_documents_sorted on {schema}.pl_documents (projection, generation, tenant_id, sort_key, id);

-- Events that a projection could not fold, and the later ones of the same stream, which wait behind them.
create table {schema}.pl_parked (
    projection varchar     not null,
    generation bigint      not null,
    position   bigint      not null,
    tenant_id  varchar     not null,
    stream_id  uuid        not null,
    error      text        null,
    parked_at  timestamptz not null default clock_timestamp(),
    primary key (projection, generation, position)
);
create index pl_parked_stream on {schema}.pl_parked (projection, generation, tenant_id, stream_id);
