create or replace function dict.undo_closed() returns trigger
language plpgsql security definer as $$
declare
  utc constant text := 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"';
  u dict.undos;
  told boolean;
begin
  select * into u from dict.undos where undo_run_id = new.id for update;
  if not found then
    return null;
  end if;
  if new.closed_at is null then
    -- Opened again by workflow.retry.
    update dict.undos set ended_at = null, outcome = null where undo_run_id = new.id;
    return null;
  end if;
  -- Where its last step ended it (one of an older program without the outcome), that step has told as well.
  told := u.ended_at is not null;
  update dict.undos set ended_at = coalesce(ended_at, new.closed_at), outcome = coalesce(outcome, new.status)
  where undo_run_id = new.id returning * into u;
  if not told then
    perform dict.publish(u.participant, u.key_type, 'undo.done', jsonb_strip_nulls(jsonb_build_object(
        'runId', new.id, 'pageCount', u.pages_told, 'changeCount', u.changes_told,
        'code', case when new.status in ('FAILED', 'POISONED') then new.error ->> 'code' end))
      || jsonb_build_object('summary', jsonb_build_object(
        'participant', u.participant, 'keyType', u.key_type, 'undoneRun', u.run_id, 'by', u.by_whom, 'reason', u.reason,
        'outcome', u.outcome, 'keysUndone', u.keys_undone, 'keysLeft', u.keys_left,
        'askedAt', to_char(u.asked_at at time zone 'UTC', utc), 'endedAt', to_char(u.ended_at at time zone 'UTC', utc))),
      new.id);
  end if;
  return null;
end $$;
comment on function dict.undo_closed() is
  'Ends the row of an undo that was cancelled, terminated or poisoned, or that failed, and tells Core-Dict, in the transaction that closed the run; opens it with a retry.';
