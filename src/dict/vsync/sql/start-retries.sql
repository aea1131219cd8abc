create or replace function dict.start_retries()
returns table (run_id uuid, participant text, key_types text[], reason text)
language plpgsql security definer as $$
#variable_conflict use_column
declare
  due record;
begin
  -- One caller at a time. The others find these runs open when they look again.
  if not pg_try_advisory_xact_lock(hashtext('dict-vsync retries')) then
    return;
  end if;
  for due in
    select r.participant, array_agg(r.key_type order by r.key_type) as key_types,
      coalesce(jsonb_agg(r.key_type order by r.key_type) filter (where r.after_reconciliation), '[]') as sparing,
      format('Automatic retry %s. ', max(r.retry)) || string_agg(distinct r.reason, ' ' order by r.reason) as reason
    from dict.retries r where r.due_at <= workflow.now()
    group by r.participant order by r.participant
  loop
    participant := due.participant;
    key_types := due.key_types;
    reason := due.reason;
    run_id := workflow.start_run('verification', dict.verification_key(due.participant, due.key_types),
      jsonb_build_object('participant', due.participant, 'keyTypes', to_jsonb(due.key_types), 'reason', due.reason,
        'sparing', due.sparing),
      'retry');
    return next;
  end loop;
end $$;
comment on function dict.start_retries() is
  'Starts the automatic retries that are due (dict.retries): one verification for each participant, of the key types that are due. Returns what it started. Workers call it when one is due; it is safe at any moment and from several callers simultaneously.';
