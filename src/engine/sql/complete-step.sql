-- Completes a step with an outcome. `result`: {outcome, context?, detail?, error?, wakeAfterMs? (delay before the next
-- step), deadlineMs? (how long a poll may take, with `pending`), children?: [{machine, key, input, policy}],
-- continueAsNew?: input}. Must be the last statement of the step's transaction. Returns the next step if it can begin
-- immediately and `stay` is true, otherwise null.
create or replace function workflow.complete_step(run_id uuid, run_version bigint, worker text, result jsonb, stay boolean)
returns jsonb
language plpgsql security definer as $$
declare
  n timestamptz;
  r workflow.runs;
  s workflow.states;
  took text := result ->> 'outcome';
  target text;
  wake timestamptz;
  until timestamptz;
  child jsonb;
  started uuid[] := '{}';
  detail jsonb := result -> 'detail';
  straight jsonb;
begin
  -- complete_many handles the simple cases and decides itself which they are, so that their rules are written once.
  select m.next into straight from workflow.complete_many(
    worker, jsonb_build_array(jsonb_build_object('id', run_id, 'version', run_version, 'result', result)), stay) m;
  if found then
    return straight;
  end if;

  n := workflow.now();
  r := workflow.fence(run_id, run_version, worker);
  select * into s from workflow.states
  where machine = r.machine and version = r.machine_version and state = r.state;

  if s.kind = 'poll' and took = 'pending' and result ? 'deadlineMs' then
    r.deadline := r.entered_at + (result ->> 'deadlineMs')::double precision * interval '1 millisecond';
  end if;
  if s.kind = 'poll' and took = 'pending' and n >= r.deadline then
    took := 'timeout';
  end if;
  if s.kind = 'poll' and took = 'pending' then
    -- The exponent is capped because 2^64 s overflows an interval. poll_max limits the result long before.
    wake := least(r.deadline, n + coalesce(
      (result ->> 'wakeAfterMs')::double precision * interval '1 millisecond',
      least(s.poll_initial * power(s.poll_backoff, least(r.polls, 30)), s.poll_max)));
  elsif s.kind = 'loop' and took = 'again' then
    wake := n + coalesce((result ->> 'wakeAfterMs')::double precision, 0) * interval '1 millisecond';
  else
    target := workflow.next_state(r, took);
  end if;

  for child in select * from jsonb_array_elements(coalesce(result -> 'children', '[]')) loop
    started := started || workflow.start_run(
      child ->> 'machine', child ->> 'key', coalesce(child -> 'input', '{}'), 'run ' || r.id, r.correlation_id,
      r.id, coalesce(child ->> 'policy', 'ABANDON'));
  end loop;
  if cardinality(started) > 0 then
    detail := coalesce(detail, '{}') || jsonb_build_object('children', to_jsonb(started));
  end if;

  until := r.deadline;
  perform workflow.log(r, 'COMPLETED', n, took, target, detail => detail);
  update workflow.runs set
    context = context || coalesce(result -> 'context', '{}'),
    -- The error of an earlier attempt is cleared, because this attempt succeeded. On a failure path the error stays.
    error = coalesce(result -> 'error', case when failed_state is not null then error end),
    failed_state = case when result -> 'error' is not null then state else failed_state end,
    updated_at = n
  where id = r.id returning * into r;

  if target is null then
    update workflow.runs set
      attempt = 0, polls = polls + 1, wake_at = wake, deadline = until, claimed_by = null, claimed_at = null,
      -- A loop that makes progress gets a new hour of rate-limited waits without using up attempts (see fail_step).
      entered_at = case when s.kind = 'loop' then n else entered_at end
    where id = r.id returning * into r;
  else
    r := workflow.enter_state(r, target, result -> 'continueAsNew');
    if result ? 'wakeAfterMs' and r.status = 'RUNNING' then
      update workflow.runs set wake_at = n + (result ->> 'wakeAfterMs')::double precision * interval '1 millisecond'
      where id = r.id returning * into r;
    end if;
  end if;
  return workflow.schedule_next(r, worker, stay);
end $$;
