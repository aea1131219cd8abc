create or replace function workflow.retry(run uuid, by_whom text default session_user, why text default null) returns text
language plpgsql security definer as $$
declare
  n timestamptz := workflow.now();
  r workflow.runs;
  s workflow.states;
begin
  select * into r from workflow.runs where id = run for update;
  if not found then
    perform workflow.raise_error('DV_RUN_NOT_FOUND', format('There is no run %s.', run));
  end if;
  if r.status not in ('FAILED', 'POISONED') then
    perform workflow.raise_error('DV_RUN_NOT_FAILED', format('Run %s is %s; only a FAILED or POISONED run can be retried.', run, r.status));
  end if;
  select * into s from workflow.states
  where machine = r.machine and version = r.machine_version and state = coalesce(r.failed_state, r.state);
  if s.kind = 'terminal' then
    perform workflow.raise_error('DV_RUN_NOT_RETRYABLE', format('Run %s ended in %s, which is a regular end of its machine. Start a new run instead.', run, s.state));
  end if;
  begin
    update workflow.runs set
      state = s.state, status = 'RUNNING', closed_at = null, attempt = 0, polls = 0, error = null, failed_state = null,
      entered_at = n, deadline = n + s.deadline, wake_at = n, updated_at = n
    where id = run returning * into r;
  exception when unique_violation then
    perform workflow.raise_error('DV_RUN_KEY_OPEN', format('Another open run has the key %s. Wait until it ends or cancel it, then retry.', r.workflow_key));
  end;
  perform workflow.log(r, 'RETRIED', n, detail => jsonb_strip_nulls(jsonb_build_object('by', by_whom, 'reason', why)));
  perform workflow.schedule_next(r, null, false);
  return r.state;
end $$;
comment on function workflow.retry(uuid, text, text) is
  'Opens a FAILED or POISONED run again in the state in which it failed, and returns that state. Errors: DV_RUN_NOT_FOUND, DV_RUN_NOT_FAILED, DV_RUN_NOT_RETRYABLE, DV_RUN_KEY_OPEN.';
