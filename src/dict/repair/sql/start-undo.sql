create or replace function dict.start_undo(run uuid, by_whom text default session_user, reason text default null) returns uuid
language plpgsql security definer as $$
declare
  r workflow.runs;
  undo uuid;
begin
  select * into r from workflow.runs where id = run for update;
  if not found then
    perform workflow.raise_error('DV_RUN_NOT_FOUND', format('There is no run %s.', run));
  end if;
  if r.machine <> 'reconciliation' then
    perform workflow.raise_error('DV_RUN_NOT_RECONCILIATION', format('Run %s is of machine %s. Only what a reconciliation changed can be undone.', run, r.machine));
  end if;
  if r.closed_at is null then
    perform workflow.raise_error('DV_RUN_OPEN', format('Run %s is still open. Wait until it ends or cancel it, then undo it.', run));
  end if;
  select id into undo from workflow.runs where workflow_key = 'undo:' || run and closed_at is null;
  if found then
    return undo;
  end if;
  if not exists (select from dict.divergences d
                 where d.run_id = run and d.decision in ('ADDED', 'CORRECTED', 'REMOVED')
                   and not exists (select from dict.undone u where u.run_id = run and u.key = d.key)) then
    if exists (select from dict.undos u where u.run_id = run) then
      perform workflow.raise_error('DV_ALREADY_UNDONE', format('Run %s is already undone. dict.undone shows the result for each key.', run));
    end if;
    perform workflow.raise_error('DV_NOTHING_TO_UNDO', format('Run %s has not changed any key, so there is nothing to undo.', run));
  end if;
  undo := workflow.start_run('undo', 'undo:' || run,
    jsonb_build_object('run', run, 'participant', r.input -> 'participant', 'keyType', r.input -> 'keyType'),
    coalesce(by_whom, session_user));
  insert into dict.undos (undo_run_id, run_id, participant, key_type, by_whom, reason, asked_at)
  values (undo, run, r.input ->> 'participant', r.input ->> 'keyType', coalesce(by_whom, session_user), start_undo.reason, workflow.now());
  return undo;
end $$;
comment on function dict.start_undo(uuid, text, text) is
  'Starts the undo of a closed reconciliation and returns its run id; if such a run is open, its id. Runs in the caller''s transaction. Errors: DV_RUN_NOT_FOUND, DV_RUN_NOT_RECONCILIATION, DV_RUN_OPEN, DV_ALREADY_UNDONE, DV_NOTHING_TO_UNDO, DV_MACHINE_UNKNOWN.';
