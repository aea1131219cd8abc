-- Claims the run for a worker if a step is due. Returns null if there is nothing to do now: another worker has claimed
-- the run, it is waiting, or it is closed. An open run that is due later gets its job again.
create or replace function workflow.claim(run_id uuid, worker text) returns jsonb
language plpgsql security definer as $$
declare
  r workflow.runs;
  s workflow.states;
begin
  select * into r from workflow.runs where id = run_id for update;
  if not found or r.closed_at is not null then
    return null;
  end if;
  if r.claimed_by is not null then
    -- A worker asks only for runs that it is not working on. If the claim is its own, the answer or the end of that
    -- claim was lost.
    if r.claimed_by <> worker and workflow.is_alive(r.claimed_by) then
      return null;
    end if;
    r := workflow.abandon(r);
  end if;
  select * into s from workflow.states
  where machine = r.machine and version = r.machine_version and state = r.state;
  if s.kind = 'wait' then
    r := workflow.advance_waits(r, s);
  end if;
  return workflow.schedule_next(r, worker, true);
end $$;
comment on function workflow.claim(uuid, text) is
  'Claims a run''s due step for a worker: raises version and attempt, and writes STARTED to the history. Returns the step as JSON, or null if no step is due.';
