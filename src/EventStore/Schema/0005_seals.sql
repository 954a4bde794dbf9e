-- The order in which everybody but the store itself sees events: gapless positions, given in batches by the one sealer.
create table {schema}.pl_seals (
    first_position bigint      not null primary key,
    last_position  bigint      not null,
    seqs           bigint[]    not null,
    sealed_at      timestamptz not null default clock_timestamp()
);
create index pl_seals_last on {schema}.pl_seals (last_position);

-- The leaves of each tenant's Merkle tree (RFC 6962), in the order of positions.
create table {schema}.pl_leaves (
    tenant_id   varchar  not null,
    first_index bigint   not null,
    seqs        bigint[] not null,
    hashes      bytea    not null,
    primary key (tenant_id, first_index)
);
alter table {schema}.pl_leaves alter column hashes set storage external;

-- The tree itself, as the roots of its complete subtrees.
create table {schema}.pl_trees (
    tenant_id varchar not null primary key,
    size      bigint  not null,
    frontier  bytea   not null
);

create table {schema}.pl_checkpoints (
    tenant_id  varchar     not null,
    size       bigint      not null,
    note       text        not null,
    created_at timestamptz not null,
    primary key (tenant_id, size)
);
