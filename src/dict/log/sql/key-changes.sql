create or replace view dict.key_changes as
select run_id, round, key, decision,
  max(encode(cid, 'hex')) filter (where side = 'LOCAL_ONLY') as local_cid,
  max(encode(cid, 'hex')) filter (where side = 'DICT_ONLY') as dict_cid,
  -- Both halves of a corrected key have the same values.
  (array_agg(before order by side))[1] as before, (array_agg(after order by side))[1] as after,
  max(plan_by) as plan_by, max(plan_why) as plan_why, max(decided_at) as decided_at
from dict.divergences
where decision in ('ADDED', 'CORRECTED', 'REMOVED', 'REGISTERED')
group by run_id, round, key, decision;
comment on view dict.key_changes is
  'What reconciliations changed, one row for each key. Both CIDs of a corrected key are one change: local_cid before and dict_cid after it.';
