-- Adds the first jobs of runs created in this transaction: run_ids[i] begins with tasks[i]. No other transaction can
-- have locked jobs with these keys.
create or replace function workflow.add_first_jobs(run_ids uuid[], tasks text[]) returns void
language plpgsql security definer
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan as $$
declare
  graphile text := (select value from workflow.settings where name = 'graphile_worker_schema');
begin
  execute format(
    'select from %1$I.add_jobs(array(
       select row(task, json_build_object(''run'', id), null, clock_timestamp(), 25, ''run:'' || id, null, null)::%1$I.job_spec
       from unnest($1, $2) as first (id, task)))', graphile)
    using run_ids, tasks;
end $$;
