-- Which transaction appended which events. A sequence number says when an event was numbered, not when it became visible; the
-- transaction id does, against pg_snapshot_xmin. The trigger serves every writer of mt_events, also one that is not ours.
create table {schema}.pl_pending (
    xid  xid8     not null,
    seqs bigint[] not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

create function {schema}.pl_note_pending() returns trigger language plpgsql as $function$
begin
    insert into {schema}.pl_pending (xid, seqs)
    select pg_current_xact_id(), array_agg(seq_id order by seq_id) from appended having count(*) > 0;
    return null;
end
$function$;

-- The lock keeps writers out between the look at what is there and the trigger.
lock table {schema}.mt_events in share row exclusive mode;

-- What an older writer left, in rows of a size that a sealer takes in one batch.
insert into {schema}.pl_pending (xid, seqs)
select pg_current_xact_id(), array_agg(seq_id order by seq_id)
from (select seq_id, (row_number() over (order by seq_id) - 1) / 5000 as part from {schema}.mt_events) as existing
group by part
order by part;

create trigger pl_note_pending after insert on {schema}.mt_events
    referencing new table as appended
    for each statement execute function {schema}.pl_note_pending();
