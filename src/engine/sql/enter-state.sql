-- Enters `new_state` and advances through states that need no activity: waits whose signal was already received, whose
-- children have all ended or whose deadline has passed, and terminal states. Returns the run's new row.
create or replace function workflow.enter_state(r workflow.runs, new_state text, continue_with jsonb default null) returns workflow.runs
language plpgsql as $$
declare
  n timestamptz := workflow.now();
  s workflow.states;
begin
  select * into strict s from workflow.states
  where machine = r.machine and version = r.machine_version and state = new_state;
  if s.kind = 'terminal' then
    r.state := new_state;
    r.attempt := 0;
  else
    update workflow.runs set
      state = new_state, status = 'RUNNING', attempt = 0, polls = 0, entered_at = n, updated_at = n,
      wake_at = n, deadline = n + s.deadline, claimed_by = null, claimed_at = null
    where id = r.id returning * into r;
  end if;
  return workflow.advance_waits(r, s, continue_with);
end $$;
