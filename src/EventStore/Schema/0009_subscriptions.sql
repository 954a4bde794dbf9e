-- asked counts what people asked of a subscription (retry, discard, reset): its owner sees by it that memory is old, and a move of the position that began
-- before is refused. error says why it does not come on.
alter table {schema}.pl_subscriptions add column asked bigint not null default 0;
alter table {schema}.pl_subscriptions add column error text null;

-- Of subscriptions too (generation 0). attempts: how often the reaction has been tried on the event.
alter table {schema}.pl_parked add column attempts integer not null default 0;
