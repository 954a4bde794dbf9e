-- Inline projections: documents that are written in the transaction of their events. Their generation is built by position like any other, then switched
-- to while nobody commits such documents, and kept up to date by every commit from then on.
alter table {schema}.pl_projections add column inline boolean not null default false;

-- Which write the row is of: a number that no other has. A process that remembers a document sees by it that another one was faster. 0: written by position.
alter table {schema}.pl_documents add column revision bigint not null default 0;

-- Events that a person has told a projection to leave out, in every generation.
create table {schema}.pl_discarded (
    projection   varchar     not null,
    position     bigint      not null,
    error        text        null,
    discarded_by varchar     null,
    discarded_at timestamptz not null default clock_timestamp(),
    primary key (projection, position)
);

-- Shared by commits with inline documents, until they end; exclusive while another generation becomes the live one.
create function {schema}.pl_inline_lock() returns bigint language sql immutable as $function$
    select hashtextextended('{schema}.inline', 0)
$function$;

-- Writes inline documents, in the same transaction before the events draw their numbers: who changes a document after another has waited for his row lock, so
-- the order of changes is that of sequence numbers, and thereby of positions. What does not hold raises PL001, or is a unique violation. Arrays come sorted.
create function {schema}.pl_project(
    revision_now bigint,
    -- generations that must be live
    g_projection varchar[], g_generation bigint[],
    -- documents that must not exist
    n_projection varchar[], n_generation bigint[], n_tenant varchar[], n_id varchar[], n_sort varchar[], n_data jsonb[],
    -- documents that must be of a revision
    x_projection varchar[], x_generation bigint[], x_tenant varchar[], x_id varchar[], x_expected bigint[], x_sort varchar[], x_data jsonb[],
    -- documents that go
    d_projection varchar[], d_generation bigint[], d_tenant varchar[], d_id varchar[], d_expected bigint[]
) returns void language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $function$
declare
    touched bigint;
begin
    perform pg_advisory_xact_lock_shared({schema}.pl_inline_lock());
    if exists (
        select from unnest(g_projection, g_generation) as g (projection, generation)
        left join {schema}.pl_projections p on p.name = g.projection and p.generation = g.generation and p.live and p.inline
        where p.name is null) then
        raise exception 'projection generation' using errcode = 'PL001';
    end if;

    if cardinality(x_id) > 0 then
        update {schema}.pl_documents d set sort_key = x.sort_key, data = x.data, revision = revision_now
        from unnest(x_projection, x_generation, x_tenant, x_id, x_expected, x_sort, x_data) as x (projection, generation, tenant, id, expected, sort_key, data)
        where d.projection = x.projection and d.generation = x.generation and d.tenant_id = x.tenant and d.id = x.id and d.revision = x.expected;
        get diagnostics touched = row_count;
        if touched <> cardinality(x_id) then raise exception 'document revision' using errcode = 'PL001'; end if;
    end if;

    if cardinality(d_id) > 0 then
        delete from {schema}.pl_documents d
        using unnest(d_projection, d_generation, d_tenant, d_id, d_expected) as x (projection, generation, tenant, id, expected)
        where d.projection = x.projection and d.generation = x.generation and d.tenant_id = x.tenant and d.id = x.id and d.revision = x.expected;
        get diagnostics touched = row_count;
        if touched <> cardinality(d_id) then raise exception 'document revision' using errcode = 'PL001'; end if;
    end if;

    if cardinality(n_id) > 0 then
        insert into {schema}.pl_documents (projection, generation, tenant_id, id, sort_key, data, revision)
        select projection, generation, tenant, id, sort_key, data, revision_now
        from unnest(n_projection, n_generation, n_tenant, n_id, n_sort, n_data) as n (projection, generation, tenant, id, sort_key, data);
    end if;
end
$function$;
