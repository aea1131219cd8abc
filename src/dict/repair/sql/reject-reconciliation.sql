create or replace function dict.reject_reconciliation(run uuid, by_whom text, reason text, set_hash text default null) returns void
language sql security definer as $$
  select dict.decide_reconciliation(run, 'reject', by_whom, reason, set_hash)
$$;
comment on function dict.reject_reconciliation(uuid, text, text, text) is
  'Rejects the frozen set with which a reconciliation waits: nothing is applied and the run ends REJECTED. Errors: as dict.approve_reconciliation.';
