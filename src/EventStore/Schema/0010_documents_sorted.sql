-- With the columns' own collation this index could serve a look-up by id as the primary key does, and the planner took it wherever statistics did not know the
-- projection yet: every look-up then read all keys of the projection. In another collation only a page, which asks in that one, can use it.
drop index {schema}.pl_documents_sorted;
create index pl_documents_sorted on {schema}.pl_documents (projection collate "C", generation, tenant_id collate "C", sort_key, id collate "C");
