create or replace function dict.check_deadlines(hours double precision default null)
returns table (participant text, key_type text, last_ok_at timestamptz, counted_from timestamptz, deadline_at timestamptz)
language plpgsql security definer as $$
#variable_conflict use_column
declare
  allowed double precision := coalesce(check_deadlines.hours, (select d.hours from dict.sync_deadline d));
  r record;
begin
  -- All callers use the same order, because each message locks its counter.
  for r in
    select d.*, s.last_result, s.open_reconciliation, d.counted_from + allowed * interval '1 hour' as due
    from dict.deadlines d join dict.sync_status s using (participant, key_type)
    where d.counted_from + allowed * interval '1 hour' < workflow.now()
      and not exists (select from dict.deadline_alerts a
        where a.participant = d.participant and a.key_type = d.key_type and a.counted_from = d.counted_from)
    order by d.participant, d.key_type
  loop
    -- If several callers run simultaneously, one inserts; the others wait for it and then have nothing to publish.
    insert into dict.deadline_alerts (participant, key_type, counted_from, hours, raised_at)
    values (r.participant, r.key_type, r.counted_from, allowed, workflow.now())
    on conflict do nothing;
    continue when not found;
    perform dict.publish(r.participant, r.key_type, 'sync.deadline_missed',
      jsonb_build_object(
        'hours', allowed,
        'lastOkAt', dict.message_time(r.last_ok_at),
        'countedFrom', dict.message_time(r.counted_from),
        'deadlineAt', dict.message_time(r.due),
        'lastResult', r.last_result,
        'openReconciliation', r.open_reconciliation), null);
    participant := r.participant;
    key_type := r.key_type;
    last_ok_at := r.last_ok_at;
    counted_from := r.counted_from;
    deadline_at := r.due;
    return next;
  end loop;
end $$;
comment on function dict.check_deadlines(double precision) is
  'Raises sync.deadline_missed, once for each breach, for each configured participant and key type without an OK within the given hours (null: dict.sync_deadline). Returns what it raised. Workers call it every minute; it is safe at any moment and from several callers simultaneously.';
