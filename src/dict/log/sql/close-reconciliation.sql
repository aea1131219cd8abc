create or replace function dict.close_reconciliation(run uuid, ended_as text, why text) returns void
language sql as $$
  select dict.count_reconciliation(run);
  update dict.reconciliations r set ended_at = workflow.now(), outcome = ended_as, reason = why,
    vsync_after = v.vsync, entries_after = v.entries
  from dict.reconciliations o, dict.vsync(o.participant, o.key_type) v
  where r.run_id = run and o.run_id = run
$$;
comment on function dict.close_reconciliation(uuid, text, text) is
  'Closes the log row of a reconciliation with its counts and the current VSync.';
