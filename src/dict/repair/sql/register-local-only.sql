create or replace function dict.register_local_only(run uuid, keys text[], by_whom text, reason text, set_hash text default null)
returns bigint
language plpgsql security definer as $$
declare
  scope dict.reconciliations;
  last_round integer;
  marked text[];
begin
  if coalesce(btrim(by_whom), '') = '' or coalesce(btrim(reason), '') = '' then
    perform workflow.raise_error('DV_DECISION_UNSIGNED', 'Say who decides and why. Both are recorded for the auditor.');
  end if;
  -- Locks the run first, as in dict.decide_reconciliation.
  perform from workflow.runs where id = run for update;
  if not found then
    perform workflow.raise_error('DV_RUN_NOT_FOUND', format('There is no run %s.', run));
  end if;
  if not workflow.waits_for(run, 'approve') then
    perform workflow.raise_error('DV_RUN_NOT_WAITING', format('Run %s does not wait for an approval. `dict-vsync describe` shows its state.', run));
  end if;
  perform dict.expect_set(run, set_hash);
  select * into strict scope from dict.reconciliations where run_id = run;
  if scope.key_type = 'EVP' then
    perform workflow.raise_error('DV_REGISTER_EVP', 'DICT generates the key of an EVP itself. An EVP that only the local base has cannot be registered, only removed.');
  end if;
  select max(round) into last_round from dict.rounds where run_id = run;

  with named as (
    update dict.divergences d set plan = 'REGISTER', plan_by = by_whom, plan_why = reason, key = e.key, why = null,
      planned = case when d.planned is not null then 'REGISTER' end
    from dict.entries e
    where d.run_id = run and d.round = last_round and d.side = 'LOCAL_ONLY' and d.decision = 'PENDING'
      and d.planned is distinct from 'CORRECT'
      and e.participant = scope.participant and e.key_type = scope.key_type and e.cid = d.cid and e.removed_at is null
      and (keys is null or e.key = any (keys))
    returning d.key)
  select coalesce(array_agg(key), '{}') into marked from named;
  if cardinality(marked) = 0 or not coalesce(keys, marked) <@ marked then
    perform workflow.raise_error('DV_KEY_NOT_IN_SET', format('Not all of these keys are in the frozen set of run %s as local-only keys. Nothing was marked.', run));
  end if;
  -- Another plan is another set: an approval that names the old hash is refused.
  update dict.rounds set set_hash = dict.hash_plan(run, last_round) where run_id = run and round = last_round;
  return cardinality(marked);
end $$;
comment on function dict.register_local_only(uuid, text[], text, text, text) is
  'While a reconciliation waits for approval: marks local-only keys of its frozen set (null: all of them; set_hash: refuse if the set has another hash) to be registered at DICT instead of removed, after the approval. The set has another hash then. Returns how many keys. Errors: DV_RUN_NOT_FOUND, DV_RUN_NOT_WAITING, DV_SET_MISMATCH, DV_REGISTER_EVP, DV_KEY_NOT_IN_SET, DV_DECISION_UNSIGNED.';
