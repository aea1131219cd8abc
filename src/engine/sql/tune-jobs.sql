create or replace function workflow.tune_jobs() returns boolean
language plpgsql as $$
begin
  execute format('alter table %I._private_jobs set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)',
    (select value from workflow.settings where name = 'graphile_worker_schema'));
  return true;
exception when insufficient_privilege or undefined_table then
  -- The installation of Graphile Worker belongs to another role, whose task it is to tune it.
  return false;
end $$;
comment on function workflow.tune_jobs() is
  'Makes autovacuum run after every 1000 dead jobs. Returns false if the jobs table belongs to another role. Called by dict-vsync migrate.';
