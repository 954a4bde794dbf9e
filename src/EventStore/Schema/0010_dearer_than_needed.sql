-- What cost more than it gave.

-- With the columns' own collation this index could serve a look-up by id as the primary key does, and the planner took it wherever statistics did not know the
-- projection yet: every look-up then read all keys of the projection. In another collation only a page, which asks in that one, can use it.
drop index {schema}.pl_documents_sorted;
create index pl_documents_sorted on {schema}.pl_documents (projection collate "C", generation, tenant_id collate "C", sort_key, id collate "C");

-- Read models that nothing reads as documents: a run's timeline and the audit trail are folded from the events when they are shown.
delete from {schema}.pl_documents where projection in ('run_timeline', 'audit_trail', 'effect_index');
delete from {schema}.pl_projections where name in ('run_timeline', 'audit_trail', 'effect_index');
delete from {schema}.pl_parked where projection in ('run_timeline', 'audit_trail', 'effect_index');
delete from {schema}.pl_discarded where projection in ('run_timeline', 'audit_trail', 'effect_index');

-- As with pl_commit: the committer's session plans as this function needs it, and its four settings cost as much as what it does.
alter function {schema}.pl_project(
    bigint, varchar[], bigint[], varchar[], bigint[], varchar[], varchar[], varchar[], jsonb[], varchar[], bigint[], varchar[], varchar[], bigint[], varchar[], jsonb[],
    varchar[], bigint[], varchar[], varchar[], bigint[]) reset all;

-- As in step 2, without the order: whoever takes these rows sorts the numbers of all of them.
create or replace function {schema}.pl_note_pending() returns trigger language plpgsql as $function$
begin
    insert into {schema}.pl_pending (xid, seqs) select pg_current_xact_id(), array_agg(seq_id) from appended having count(*) > 0;
    return null;
end
$function$;
