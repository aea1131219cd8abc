-- Starts the successor of a run that closed CONTINUED: the same key, with the given input or else the old one.
create or replace function workflow.continue_run(r workflow.runs, new_input jsonb) returns void
language plpgsql as $$
declare
  fresh workflow.runs;
  s workflow.states;
begin
  fresh.id := workflow.start_run(r.machine, r.workflow_key, coalesce(new_input, r.input),
    r.started_by, r.correlation_id, r.parent_id, r.parent_close_policy, r.id);
  -- The successor inherits the signals that were not consumed yet, and may already be waiting for one of them.
  update workflow.signals g set run_id = fresh.id where g.run_id = r.id and g.consumed_at is null;
  select * into fresh from workflow.runs where id = fresh.id;
  if found and fresh.status = 'WAITING' then
    select * into s from workflow.states
    where machine = fresh.machine and version = fresh.machine_version and state = fresh.state;
    perform workflow.schedule_next(workflow.advance_waits(fresh, s), null, false);
  end if;
end $$;
