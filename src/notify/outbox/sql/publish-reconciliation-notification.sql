create or replace function dict.publish_reconciliation_notification(run uuid, event text, code text default null,
  more jsonb default '{}') returns void
language plpgsql as $$
declare
  r dict.reconciliations;
  summary jsonb := dict.reconciliation_summary(run);
begin
  select * into r from dict.reconciliations where run_id = run;
  if not found then
    return;
  end if;
  perform dict.publish(r.participant, r.key_type, 'reconciliation.notification',
    jsonb_strip_nulls(jsonb_build_object('runId', run, 'event', event, 'reason', r.reason,
      'code', coalesce(code, case when event = 'FAILED' then substring(r.reason from '^(DV_[A-Z_0-9]+): ') end)))
    || case
      when event = 'APPROVAL_NEEDED' then jsonb_strip_nulls(jsonb_build_object('setHash', summary ->> 'setHash'))
      when event = 'QUARANTINED' then '{}'
      else jsonb_build_object('pageCount', r.pages_published, 'changeCount', r.changes_published) end
    || more || jsonb_build_object('summary', summary), run);
end $$;
comment on function dict.publish_reconciliation_notification(uuid, text, text, jsonb) is
  'Publishes reconciliation.notification: the state of a reconciliation that started, needs approval or did not succeed. more: fields that only this event has. Publishes nothing if the run has no row in dict.reconciliations yet.';
