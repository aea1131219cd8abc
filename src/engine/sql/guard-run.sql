-- A BEFORE trigger on workflow.runs: refuses every transition that the run's machine does not have, whoever makes it.
-- Errors: DV_TRANSITION_FORBIDDEN, DV_RUN_CLOSED.
create or replace function workflow.guard_run() returns trigger
language plpgsql as $$
declare
  s workflow.states;
begin
  if tg_op = 'INSERT' then
    if not exists (select from workflow.machines m
                   where m.name = new.machine and m.version = new.machine_version and m.initial_state = new.state)
       or new.status <> 'PENDING' then
      perform workflow.raise_error('DV_TRANSITION_FORBIDDEN', format(
        'A run of %s version %s begins PENDING in the machine''s initial state. Start it with workflow.start_run.',
        new.machine, new.machine_version));
    end if;
    return new;
  end if;

  if (new.id, new.machine, new.machine_version, new.workflow_key) is distinct from
     (old.id, old.machine, old.machine_version, old.workflow_key) then
    perform workflow.raise_error('DV_TRANSITION_FORBIDDEN',
      'A run''s id, machine, version and workflow key never change. Start another run instead.');
  end if;

  if old.closed_at is not null then
    if new.closed_at is null then
      -- Only workflow.retry opens a run again: a failed one, in the state that failed.
      if old.status not in ('FAILED', 'POISONED') or new.state <> coalesce(old.failed_state, old.state) then
        perform workflow.raise_error('DV_RUN_CLOSED', format('Run %s is closed (%s); only a failed run can be retried.', old.id, old.status));
      end if;
    else
      -- Its links may become null: retention removes the runs that they name.
      if to_jsonb(new) - array['parent_id', 'continued_from'] <> to_jsonb(old) - array['parent_id', 'continued_from'] then
        perform workflow.raise_error('DV_RUN_CLOSED', format('Run %s is closed (%s) and can no longer be changed.', old.id, old.status));
      end if;
      return new;
    end if;
  elsif new.state <> old.state and not exists (
       select from workflow.transitions t
       where t.machine = old.machine and t.version = old.machine_version
         and t.state = old.state and t.next_state = new.state) then
    perform workflow.raise_error('DV_TRANSITION_FORBIDDEN', format(
      'Machine %s version %s has no transition from %s to %s.', old.machine, old.machine_version, old.state, new.state));
  end if;

  select * into s from workflow.states
  where machine = new.machine and version = new.machine_version and state = new.state;
  -- FAILED, CANCELLED, TERMINATED and POISONED may end a run in any state. The other final statuses belong to terminal
  -- states of the machine.
  if new.status in ('COMPLETED', 'COMPLETED_WITH_QUARANTINE', 'REJECTED', 'CONTINUED')
       and new.status is distinct from s.closes_as
     or s.kind = 'terminal' and new.closed_at is null
     or new.status = 'WAITING' and s.kind <> 'wait' then
    perform workflow.raise_error('DV_TRANSITION_FORBIDDEN', format(
      'Status %s is not possible in state %s of machine %s version %s.', new.status, new.state, new.machine, new.machine_version));
  end if;
  return new;
end $$;
