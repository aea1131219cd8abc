-- Ends a failed attempt of a step. `error`: {code, class, message, retryAt?, correlationId?}. The step is retried by
-- its state's policy. When the attempts are used up or the error is not retryable, the run takes the outcome `failure`;
-- if its state has no such outcome, the run closes FAILED.
create or replace function workflow.fail_step(run_id uuid, run_version bigint, worker text, error jsonb, stay boolean)
returns jsonb
language plpgsql security definer as $$
declare
  n timestamptz := workflow.now();
  r workflow.runs := workflow.fence(run_id, run_version, worker);
  s workflow.states;
  class text := error ->> 'class';
  retry_at timestamptz := (error ->> 'retryAt')::timestamptz;
  pause interval;
  uses_attempt boolean := true;
  target text;
begin
  select * into s from workflow.states
  where machine = r.machine and version = r.machine_version and state = r.state;

  -- Being asked to wait (rate_limited) is not a failure. For at most one hour in a state it uses up no attempt.
  if class = 'rate_limited' and n < r.entered_at + interval '1 hour' then
    uses_attempt := false;
    pause := greatest(coalesce(retry_at - n, s.max_interval), '10 milliseconds') * (1 + random() * 0.1);
  elsif class <> 'not_retryable' and r.attempt < s.max_attempts and r.cancel_requested_at is null then
    pause := least(s.initial_interval * power(s.backoff, least(r.attempt, 30) - 1), s.max_interval) * (1 + random() * 0.1);
    pause := greatest(pause, coalesce(retry_at - n, '0'));
  end if;

  if pause is not null then
    perform workflow.log(r, 'FAILED', n, 'retry', error => error);
    update workflow.runs u set
      attempt = case when uses_attempt then u.attempt else u.attempt - 1 end,
      -- On a failure path the error that led there stays, because it is why the run fails.
      error = case when u.failed_state is null then fail_step.error else u.error end,
      wake_at = n + pause, claimed_by = null, claimed_at = null, updated_at = n
    where id = r.id returning * into r;
    return workflow.schedule_next(r, worker, false);
  end if;

  if r.cancel_requested_at is not null then
    perform workflow.log(r, 'FAILED', n, 'cancelled', error => error);
    perform workflow.close_run(r, 'CANCELLED', error);
    return null;
  end if;
  select t.next_state into target from workflow.transitions t
  where t.machine = r.machine and t.version = r.machine_version and t.state = r.state and t.outcome = 'failure';
  perform workflow.log(r, 'FAILED', n, 'failure', target, error => error);
  if target is null then
    perform workflow.close_run(r, 'FAILED', error);
    return null;
  end if;
  update workflow.runs u set error = fail_step.error, failed_state = r.state where id = r.id returning * into r;
  return workflow.schedule_next(workflow.enter_state(r, target), worker, stay);
end $$;
