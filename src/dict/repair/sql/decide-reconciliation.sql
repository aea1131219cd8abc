-- Approves or rejects the frozen set with which a reconciliation waits: sends the signal and records who decided and
-- why.
create or replace function dict.decide_reconciliation(run uuid, signal text, by_whom text, reason text, set_hash text) returns void
language plpgsql security definer as $$
declare
  frozen text;
begin
  if coalesce(btrim(by_whom), '') = '' or coalesce(btrim(reason), '') = '' then
    perform workflow.raise_error('DV_DECISION_UNSIGNED', 'Say who decides and why. Both are recorded for the auditor.');
  end if;
  -- Locks the run first, so that the wait and its set do not change during these checks.
  perform from workflow.runs where id = run for update;
  if not found then
    perform workflow.raise_error('DV_RUN_NOT_FOUND', format('There is no run %s.', run));
  end if;
  if not workflow.waits_for(run, signal) then
    perform workflow.raise_error('DV_RUN_NOT_WAITING', format('Run %s does not wait for an approval. `dict-vsync describe` shows its state.', run));
  end if;
  frozen := dict.expect_set(run, set_hash);
  perform workflow.signal(run, signal, jsonb_build_object('setHash', frozen), by_whom, reason);
end $$;
