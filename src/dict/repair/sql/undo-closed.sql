create or replace function dict.undo_closed() returns trigger
language plpgsql security definer as $$
declare
  u dict.undos;
begin
  select * into u from dict.undos where undo_run_id = new.id for update;
  if not found then
    return null;
  end if;
  if new.closed_at is null then
    -- workflow.retry has opened the run again.
    update dict.undos set ended_at = null, outcome = null where undo_run_id = new.id;
    return null;
  end if;
  -- If the run's last step closed the row, that step has published undo.done as well.
  if u.ended_at is null then
    update dict.undos set ended_at = new.closed_at, outcome = new.status where undo_run_id = new.id;
    perform dict.publish_undo_done(new.id, case when new.status in ('FAILED', 'POISONED') then new.error ->> 'code' end);
  end if;
  return null;
end $$;
comment on function dict.undo_closed() is
  'For an undo that was cancelled, terminated or poisoned, or that failed: closes its row and publishes undo.done, in the transaction that closed the run. Opens the row again when the run is retried.';
