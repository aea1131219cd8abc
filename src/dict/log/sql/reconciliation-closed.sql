create or replace function dict.reconciliation_closed() returns trigger
language plpgsql security definer as $$
declare
  scope dict.reconciliations;
  asked jsonb;
begin
  select * into scope from dict.reconciliations where run_id = new.id;
  -- A run that reaches a terminal state has closed its row and published its result in steps of its own.
  if not found or scope.ended_at is not null and new.status not in ('CANCELLED', 'TERMINATED', 'POISONED') then
    return null;
  end if;
  select detail into asked from workflow.history
  where run_id = new.id and event = 'CANCEL_REQUESTED' and new.status = 'CANCELLED' order by id desc limit 1;
  perform dict.close_reconciliation(new.id, new.status, coalesce(
    nullif(concat_ws(': ', 'by ' || (asked ->> 'by'), asked ->> 'reason'), ''),
    nullif(concat_ws(': ', new.error ->> 'code', new.error ->> 'message'), '')));
  perform dict.publish_reconciliation_notification(new.id, new.status, new.error ->> 'code');
  return null;
end $$;
comment on function dict.reconciliation_closed() is
  'Closes the log row of a reconciliation that was cancelled, terminated or poisoned, or that failed while saving its log, in the transaction that closed the run.';
