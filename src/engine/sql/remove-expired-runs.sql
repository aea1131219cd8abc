create or replace function workflow.remove_expired_runs(older_than interval, most integer default 100) returns integer
language plpgsql security definer as $$
declare
  graphile text := (select value from workflow.settings where name = 'graphile_worker_schema');
  removed integer;
  more integer;
begin
  -- History and signals are removed with their run.
  delete from workflow.runs where id in (
    select id from workflow.runs where id in (select workflow.expired_runs(older_than) limit most)
    for update skip locked);
  get diagnostics removed = row_count;
  delete from workflow.schedule_ticks where (schedule, tick) in (
    select schedule, tick from workflow.schedule_ticks where decided_at < workflow.now() - older_than
    limit most for update skip locked);
  get diagnostics more = row_count;
  removed := removed + more;
  -- Our jobs that Graphile Worker gave up and that no longer have a key. They do no harm, but Graphile Worker never
  -- removes them.
  execute format(
    'select count(*)::integer from %I.complete_jobs(array(
       select id from %1$I.jobs
       where key is null and locked_at is null and attempts >= max_attempts and max_attempts = 25
         and run_at < clock_timestamp() - interval ''7 days''
         and (task_identifier = ''advance_run'' or task_identifier in (select task from workflow.states))
       limit $1))', graphile) into more using most;
  return removed + more;
end $$;
comment on function workflow.remove_expired_runs(interval, integer) is
  'Removes up to N closed runs of this age (with history and signals), up to N ticks of schedules and up to N jobs that were given up, in one short transaction. Returns the number of rows removed. Call it until it returns 0.';
