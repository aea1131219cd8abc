create or replace function dict.reconciliation_summary(run uuid) returns jsonb
language sql stable as $$
  select jsonb_build_object(
    'participant', participant, 'keyType', key_type, 'outcome', outcome, 'reason', reason, 'rounds', rounds,
    'vsyncBefore', vsync_before, 'vsyncAfter', vsync_after, 'entriesBefore', entries_before, 'entriesAfter', entries_after,
    'dictOnlyCids', dict_only_cids, 'localOnlyCids', local_only_cids, 'keysAdded', keys_added,
    'keysCorrected', keys_corrected, 'keysRemoved', keys_removed, 'keysRegistered', keys_registered,
    'keysInFlight', keys_in_flight, 'keysHeld', keys_held, 'keysUnsure', keys_unsure, 'quarantined', quarantined, 'approvedBy', approved_by,
    'setHash', (select set_hash from dict.rounds o where o.run_id = r.run_id order by round desc limit 1))
  from dict.reconciliations r where run_id = run
$$;
comment on function dict.reconciliation_summary(uuid) is
  'A reconciliation as messages to Core-Dict and the CLI show it; null before it was opened.';
