create or replace function workflow.add_job(run_id uuid, task text, due timestamptz, key_prefix text default 'run:') returns void
language plpgsql security definer
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan as $$
declare
  graphile text := (select value from workflow.settings where name = 'graphile_worker_schema');
  job_id bigint;
begin
  -- The job's payload is only the run's id: what to do is in the run. The job's key prevents a second job of the run.
  for try in 1..5 loop
    execute format(
      'select id from %I.add_job($1, payload => $2, run_at => $3, max_attempts => 25, job_key => $4)', graphile)
      into job_id
      using task, json_build_object('run', run_id),
            clock_timestamp() + greatest(due - workflow.now(), '0'), key_prefix || run_id;
    -- add_job returns null when another transaction has locked the job with this key.
    exit when job_id is not null;
  end loop;
  if job_id is null then
    perform workflow.raise_error('DV_QUEUE_BUSY', format('Another transaction is changing the job of run %s. Try again.', run_id));
  end if;
end $$;
comment on function workflow.add_job(uuid, text, timestamptz, text) is
  'Adds the job of a run, or moves it to another time. With another key prefix it adds a second job that only wakes the run. SECURITY DEFINER because Graphile Worker''s add_job needs its owner''s rights.';
