create or replace function dict.remove_expired_audit(older_than interval, most integer default 1000) returns integer
language plpgsql security definer as $$
declare
  gone uuid[] := array(select dict.expired_reconciliations(older_than) limit most);
  removed integer := 0;
  more integer;
begin
  -- Child rows first: a reconciliation may have a million of them, and each call must stay small.
  delete from dict.divergences where (run_id, round, cid) in (
    select run_id, round, cid from dict.divergences where run_id = any (gone) limit most for update skip locked);
  get diagnostics removed = row_count;
  if removed < most then
    delete from dict.undone where (undo_run_id, key) in (
      select undo_run_id, key from dict.undone where run_id = any (gone) limit most - removed for update skip locked);
    get diagnostics more = row_count;
    removed := removed + more;
  end if;
  if removed < most then
    delete from dict.reconciliations r where run_id in (
      select run_id from dict.reconciliations where run_id = any (gone)
        and not exists (select from dict.divergences d where d.run_id = reconciliations.run_id)
        and not exists (select from dict.undone u where u.run_id = reconciliations.run_id)
      limit most - removed for update skip locked);
    get diagnostics more = row_count;
    removed := removed + more;
  end if;
  if removed < most then
    delete from dict.sync_verifications where id in (
      select id from dict.sync_verifications
      where id in (select dict.expired_sync_verifications(older_than)) limit most - removed for update skip locked);
    get diagnostics more = row_count;
    removed := removed + more;
  end if;
  if removed < most then
    delete from dict.verifications where run_id in (
      select run_id from dict.verifications where ended_at < workflow.now() - older_than
      limit most - removed for update skip locked);
    get diagnostics more = row_count;
    removed := removed + more;
  end if;
  return removed;
end $$;
comment on function dict.remove_expired_audit(interval, integer) is
  'Removes up to `most` rows of verifications, reconciliations and their divergences of this age, in one short transaction. Returns how many. Call it until it returns 0. CIDs are never removed (Manual §9).';
