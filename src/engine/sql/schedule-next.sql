-- Called after each transition: claims the next step for `worker` if it may stay and the step is due, otherwise adds or
-- moves the run's job. Returns the claimed step, or null.
create or replace function workflow.schedule_next(r workflow.runs, worker text, stay boolean) returns jsonb
language plpgsql as $$
declare
  n timestamptz := workflow.now();
  s workflow.states;
begin
  if r.closed_at is not null then
    return null;
  end if;
  if r.cancel_requested_at is not null then
    perform workflow.close_run(r, 'CANCELLED');
    return null;
  end if;
  if r.wake_at is null then
    return null;
  end if;
  -- 2 ms: a timer's job may start that much too early, and another trip through the queue costs more.
  if not stay or r.wake_at > n + interval '2 milliseconds' or r.status = 'WAITING' then
    perform workflow.add_job(r.id, workflow.job_task(r), r.wake_at);
    return null;
  end if;

  update workflow.runs set
    status = 'RUNNING', version = r.version + 1, attempt = r.attempt + 1, claimed_by = worker, claimed_at = n, updated_at = n
  where id = r.id returning * into r;
  perform workflow.log(r, 'STARTED', n);
  select * into s from workflow.states
  where machine = r.machine and version = r.machine_version and state = r.state;
  return workflow.step_of(r, s);
end $$;
