-- The task of the job that moves a run on.
create or replace function workflow.job_task(r workflow.runs) returns text
language sql stable as $$
  -- A job carries the name of the activity it will do first; a wait has none, its timer is `advance_run`.
  select coalesce(task, 'advance_run') from workflow.states
  where machine = r.machine and version = r.machine_version and state = r.state
$$;
