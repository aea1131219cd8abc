create or replace function dict.check_warnings()
returns table (change text, participant text, key_type text, code text, since timestamptz, count bigint, run_id uuid,
  error_code text, deadline_at timestamptz, last_ok_at timestamptz)
language plpgsql security definer as $$
#variable_conflict use_column
declare
  settings dict.warning_settings;
  content jsonb;
  r record;
begin
  -- One caller at a time is enough.
  if not pg_try_advisory_xact_lock(hashtext('dict-vsync warnings')) then
    return;
  end if;
  select * into settings from dict.warning_settings;
  -- All callers use the same order, because each message locks its counter.
  for r in
    with present as materialized (select * from dict.warnings),
    raised as materialized (select * from dict.warning_alerts where cleared_at is null)
    select 'CLEARED' as change, a.participant, a.key_type, a.code, a.since, null::bigint as count, null::uuid as run_id,
      null::text as error_code, null::timestamptz as deadline_at, d.last_ok_at
    from raised a left join dict.deadlines d on (d.participant, d.key_type) = (a.participant, a.key_type)
    where not exists (
      select from present w
      where w.participant = a.participant and w.key_type = a.key_type and w.since <= a.raised_at
        -- In the view a missed deadline replaces the earlier warning. Its cause still exists.
        and (w.code = a.code or a.code = 'NO_FRESH_OK' and w.code = 'DEADLINE_MISSED'))
    union all
    select 'RAISED', w.participant, w.key_type, w.code, w.since, w.count, w.run_id, w.error_code, w.deadline_at, w.last_ok_at
    from present w
    where not exists (
      select from raised a
      where a.participant = w.participant and a.key_type = w.key_type and a.code = w.code and w.since <= a.raised_at)
    order by participant, key_type, change, code
  loop
    if r.change = 'CLEARED' then
      update dict.warning_alerts a set cleared_at = workflow.now()
      where a.participant = r.participant and a.key_type = r.key_type and a.code = r.code and a.cleared_at is null;
    else
      insert into dict.warning_alerts (participant, key_type, code, since, raised_at)
      values (r.participant, r.key_type, r.code, r.since, workflow.now());
    end if;
    content := jsonb_build_object('code', r.code, 'since', dict.message_time(r.since),
      'lastOkAt', dict.message_time(r.last_ok_at));
    if r.change = 'RAISED' then
      content := content || jsonb_build_object('count', r.count, 'runId', r.run_id, 'errorCode', r.error_code,
        'deadlineAt', dict.message_time(r.deadline_at));
    end if;
    if r.change = 'RAISED' and r.code = 'DEADLINE_MISSED' then
      perform dict.publish(r.participant, r.key_type, 'sync.deadline_missed',
        (select jsonb_build_object(
          'hours', settings.deadline_hours,
          'lastOkAt', dict.message_time(r.last_ok_at),
          'countedFrom', dict.message_time(r.since),
          'deadlineAt', dict.message_time(r.deadline_at),
          'lastResult', s.last_result,
          'openReconciliation', s.open_reconciliation)
         from dict.sync_status s where s.participant = r.participant and s.key_type = r.key_type), null);
    else
      perform dict.publish(r.participant, r.key_type, 'warning.' || lower(r.change), content, null);
    end if;
    if settings.alerts then
      perform dict.publish(r.participant, r.key_type, 'warning.' || lower(r.change), content, null, 'ALERT');
    end if;
    return query select r.change, r.participant, r.key_type, r.code, r.since, r.count, r.run_id, r.error_code, r.deadline_at,
      r.last_ok_at;
  end loop;
end $$;
comment on function dict.check_warnings() is
  'Raises each warning of dict.warnings once when it begins, and clears it once when its cause has ended: publishes warning.raised (for a missed deadline sync.deadline_missed) and warning.cleared, and alerts if there is an ALERT_URL. Returns what it raised and cleared. Workers call it every minute; it is safe at any moment and from several callers simultaneously.';
