create or replace view dict.unsure_keys as
select n.participant, n.key_type, d.key, d.cid, d.run_id, d.why, d.decided_at as since, d.plan_by as decided_by,
  d.plan_why as decided_why
from dict.divergences d join dict.reconciliations n using (run_id)
where d.decision = 'UNSURE' and d.round = n.rounds and n.ended_at is not null and not exists (
  select from dict.reconciliations later
  where later.participant = n.participant and later.key_type = n.key_type and later.started_at > n.started_at
    and later.ended_at is not null and later.rounds > 0);
comment on view dict.unsure_keys is
  'The local keys that the last reconciliation of their participant and key type left for a person to decide: why, and who has decided (dict.remove_unsure) that they are to be removed.';
