create or replace function workflow.tune_jobs() returns boolean
language plpgsql as $$
begin
  execute format('alter table %I._private_jobs set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)',
    (select value from workflow.settings where name = 'graphile_worker_schema'));
  return true;
exception when insufficient_privilege or undefined_table then
  -- Somebody else's Graphile Worker: theirs to tune.
  return false;
end $$;
comment on function workflow.tune_jobs() is
  'Lets autovacuum take dead jobs away by the thousand. False when the jobs'' table belongs to somebody else. Called by dict-vsync migrate.';
