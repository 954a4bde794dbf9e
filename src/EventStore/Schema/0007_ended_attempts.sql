-- attempts - ended: attempts in a row that began and never came to an end that anybody wrote down, so they died with their process.
alter table {schema}.pl_messages add column ended integer not null default 0;
