-- The outbox, the schedule and the durable local queue in one. owner is a node's membership: a session advisory lock of that number.
create table {schema}.pl_messages (
    tenant_id      varchar     not null,
    id             uuid        not null,
    number         bigint      not null generated always as identity,
    type           varchar     not null,
    key            varchar     null,
    body           text        not null,
    correlation_id varchar     null,
    causation_id   varchar     null,
    headers        jsonb       null,
    due_at         timestamptz null,
    attempts       integer     not null default 0,
    owner          bigint      null,
    enqueued_at    timestamptz not null,
    last_error     text        null,
    constraint pl_messages_pkey primary key (tenant_id, id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, fillfactor = 90);
create index pl_messages_owner on {schema}.pl_messages (owner, number);

create table {schema}.pl_dead_letters (
    tenant_id      varchar     not null,
    id             uuid        not null,
    number         bigint      not null generated always as identity,
    type           varchar     not null,
    key            varchar     null,
    body           text        not null,
    correlation_id varchar     null,
    causation_id   varchar     null,
    headers        jsonb       null,
    due_at         timestamptz null,
    attempts       integer     not null,
    enqueued_at    timestamptz not null,
    error_type     text        not null,
    error          text        not null,
    died_at        timestamptz not null,
    constraint pl_dead_letters_pkey primary key (tenant_id, id)
);
create index pl_dead_letters_number on {schema}.pl_dead_letters (number);

-- Commands from outside by their id, with what the caller was told.
create table {schema}.pl_inbox (
    tenant_id    varchar     not null,
    command_id   varchar     not null,
    request_hash bytea       not null,
    answer       bytea       not null,
    recorded_at  timestamptz not null,
    constraint pl_inbox_pkey primary key (tenant_id, command_id)
);
