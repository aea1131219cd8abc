create or replace function workflow.start_run(
  machine_name text, key text, run_input jsonb default '{}', by_whom text default session_user,
  correlation text default null, parent uuid default null, close_policy text default null, continues uuid default null)
returns uuid
language plpgsql security definer as $$
declare
  n timestamptz := workflow.now();
  m workflow.machines;
  s workflow.states;
  r workflow.runs;
begin
  select * into m from workflow.machines where name = machine_name order by version desc limit 1;
  if not found then
    perform workflow.raise_error('DV_MACHINE_UNKNOWN', format('There is no machine "%s". Start a worker once: it stores its machines in the database.', machine_name));
  end if;
  select * into s from workflow.states where machine = m.name and version = m.version and state = m.initial_state;
  loop
    insert into workflow.runs as i (machine, machine_version, workflow_key, state, input, started_by, correlation_id,
      parent_id, parent_close_policy, continued_from, wake_at, deadline, entered_at, created_at, updated_at)
    values (m.name, m.version, key, m.initial_state, run_input, by_whom,
      coalesce(correlation, replace(workflow.uuidv7()::text, '-', '')), parent, close_policy, continues, n, n + s.deadline, n, n, n)
    on conflict (workflow_key) where closed_at is null do nothing
    returning * into r;
    if found then
      perform workflow.log(r, 'CREATED', n, detail => jsonb_build_object('by', by_whom));
      if s.task is not null then
        perform workflow.add_first_jobs(array[r.id], array[s.task]);
      else
        -- A machine may begin in a wait state or a terminal state.
        perform workflow.schedule_next(workflow.advance_waits(r, s), null, false);
      end if;
      return r.id;
    end if;
    select * into r from workflow.runs where workflow_key = key and closed_at is null;
    if found then
      if parent is not null and r.parent_id is distinct from parent then
        perform workflow.await_open(parent, r.id);
      end if;
      return r.id;
    end if;
    -- The open run closed between the two statements. Try again.
  end loop;
end $$;
comment on function workflow.start_run(text, text, jsonb, text, text, uuid, text, uuid) is
  'Starts a run, or returns the open one with that workflow key. Runs in the caller''s transaction: after a rollback nothing was started.';
