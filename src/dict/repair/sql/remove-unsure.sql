create or replace function dict.remove_unsure(run uuid, keys text[], by_whom text, reason text) returns bigint
language plpgsql security definer as $$
declare
  scope dict.reconciliations;
  marked text[];
begin
  if coalesce(btrim(by_whom), '') = '' or coalesce(btrim(reason), '') = '' then
    perform workflow.raise_error('DV_DECISION_UNSIGNED', 'Say who decides and why. Both are recorded for the auditor.');
  end if;
  select * into scope from dict.reconciliations where run_id = run;
  if not found then
    perform workflow.raise_error('DV_RUN_NOT_FOUND', format('There is no reconciliation %s.', run));
  end if;
  with named as (
    update dict.divergences d set plan = 'REMOVE', plan_by = by_whom, plan_why = reason
    where d.run_id = run and d.decision = 'UNSURE' and d.plan is distinct from 'REMOVE'
      and d.round = (select max(round) from dict.rounds where run_id = run)
      and (keys is null or d.key = any (keys))
    returning d.key)
  select coalesce(array_agg(key), '{}') into marked from named;
  if cardinality(marked) = 0 or not coalesce(keys, marked) <@ marked then
    perform workflow.raise_error('DV_KEY_NOT_UNSURE', format('Not all of these keys are UNSURE in the last round of run %s, or they are decided already. Nothing was marked.', run));
  end if;
  perform dict.start_reconciliation(scope.participant, array[scope.key_type]);
  return cardinality(marked);
end $$;
comment on function dict.remove_unsure(uuid, text[], text, text) is
  'Decides that local keys which a reconciliation left as UNSURE (null: all of them) are to be removed, and starts a reconciliation, which removes them if DICT still does not have them. Returns how many. Errors: DV_RUN_NOT_FOUND, DV_KEY_NOT_UNSURE, DV_DECISION_UNSIGNED.';
