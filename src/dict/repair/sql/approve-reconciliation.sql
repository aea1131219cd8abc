create or replace function dict.approve_reconciliation(run uuid, by_whom text, reason text, set_hash text default null) returns void
language sql security definer as $$
  select dict.decide_reconciliation(run, 'approve', by_whom, reason, set_hash)
$$;
comment on function dict.approve_reconciliation(uuid, text, text, text) is
  'Approves the frozen set with which a reconciliation waits (set_hash: refuse if the set has another hash). Errors: DV_RUN_NOT_FOUND, DV_RUN_NOT_WAITING, DV_SET_MISMATCH, DV_DECISION_UNSIGNED.';
