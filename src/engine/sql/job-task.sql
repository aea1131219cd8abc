-- The task of the job that advances a run.
create or replace function workflow.job_task(r workflow.runs) returns text
language sql stable as $$
  -- A job has the name of the activity that it does first. A wait has no activity: its timer's task is `advance_run`.
  select coalesce(task, 'advance_run') from workflow.states
  where machine = r.machine and version = r.machine_version and state = r.state
$$;
