create or replace view dict.warnings as
with watched as materialized (
  select d.participant, d.key_type, d.last_ok_at, d.counted_from, d.deadline_at, d.missed, s.fresh_ok_hours, s.approval_hours
  from dict.deadlines d cross join dict.warning_settings s
),
-- The last reconciliation that ended other than by a person's cancel, unless an OK came after it had begun.
reconciled as materialized (
  select w.participant, w.key_type, w.last_ok_at, r.run_id, r.started_at, r.outcome, r.reason, r.quarantined, r.keys_unsure
  from watched w cross join lateral (
    select * from dict.reconciliations r
    where r.participant = w.participant and r.key_type = w.key_type and r.ended_at is not null
      and r.outcome not in ('CANCELLED', 'TERMINATED')
    order by r.started_at desc limit 1) r
  where w.last_ok_at is null or r.started_at > w.last_ok_at
),
found as (
  select participant, key_type, case when missed then 'DEADLINE_MISSED' else 'NO_FRESH_OK' end as code, counted_from as since,
    null::bigint as count, null::uuid as run_id, null::text as error_code, deadline_at
  from watched where missed or counted_from + fresh_ok_hours * interval '1 hour' < workflow.now()
  union all
  select w.participant, w.key_type, 'VERIFICATION_INCOMPLETE', (
      -- Since the first one, so that the next is the same warning. At most 30 days back, which bounds the search.
      select f.ended_at from dict.verifications f
      where f.participant = w.participant and f.results -> w.key_type ->> 'result' = 'ERROR'
        and f.results -> w.key_type ->> 'code' is distinct from 'DV_RUN_CANCELLED'
        and f.started_at > greatest(w.last_ok_at, v.started_at - interval '30 days')
      order by f.started_at limit 1),
    null, v.run_id, v.results -> w.key_type ->> 'code', null
  from watched w cross join lateral (
    select * from dict.verifications v
    where v.participant = w.participant and w.key_type = any (v.key_types)
      and v.results -> w.key_type ->> 'code' is distinct from 'DV_RUN_CANCELLED'
    order by v.started_at desc limit 1) v
  where v.results -> w.key_type ->> 'result' = 'ERROR' and (w.last_ok_at is null or v.started_at > w.last_ok_at)
  union all
  select r.participant, r.key_type, x.code, (
      select f.ended_at from dict.reconciliations f
      where f.participant = r.participant and f.key_type = r.key_type
        and f.started_at > greatest(r.last_ok_at, r.started_at - interval '30 days')
        and case x.code when 'QUARANTINED' then f.quarantined > 0 when 'UNSURE' then f.keys_unsure > 0
            else f.outcome in ('FAILED', 'POISONED') end
      order by f.started_at limit 1),
    x.count, r.run_id, x.error_code, null
  from reconciled r cross join lateral (values
    ('RECONCILIATION_FAILED', r.outcome in ('FAILED', 'POISONED'), null, substring(r.reason from '^(DV_[A-Z_0-9]+): ')),
    ('QUARANTINED', r.quarantined > 0, r.quarantined, null),
    ('UNSURE', r.keys_unsure > 0, r.keys_unsure, null)) x (code, applies, count, error_code)
  where x.applies
  union all
  select w.participant, w.key_type, 'APPROVAL_WAITING', r.entered_at, null, r.id, null, null
  from watched w join workflow.runs r on r.workflow_key = dict.reconciliation_key(w.participant, w.key_type) and r.closed_at is null
  where workflow.waits_for(r.id, 'approve') and r.entered_at + w.approval_hours * interval '1 hour' < workflow.now()
  union all
  select h.participant, h.key_type, 'KEYS_HELD', min(h.held_at), count(*), null, null, null
  from dict.held_keys h where h.released_at is null group by 1, 2
  union all
  -- A verification or reconciliation that fails is covered above, by key type. An older failure of the same workflow key
  -- no longer matters.
  select r.input ->> 'participant', coalesce(r.input ->> 'keyType', 'ALL'), 'RUN_FAILED', min(r.closed_at), count(*),
    (array_agg(r.id order by r.closed_at desc))[1], (array_agg(r.error ->> 'code' order by r.closed_at desc))[1], null
  from workflow.runs r
  where r.status in ('FAILED', 'POISONED') and r.machine not in ('verification', 'reconciliation')
    and r.closed_at > workflow.now() - interval '7 days' and r.input ->> 'participant' is not null
    and not exists (select from workflow.runs n where n.workflow_key = r.workflow_key and n.id > r.id)
  group by 1, 2
)
select f.participant, f.key_type, f.code, f.since, f.count, f.run_id, f.error_code, f.deadline_at, d.last_ok_at
from found f left join dict.deadlines d on (d.participant, d.key_type) = (f.participant, f.key_type);
comment on view dict.warnings is
  'What a person must look at, for each participant and key type (ALL: the participant as a whole): a code, since when its cause has existed, how many keys or runs, and the newest run that shows it. A row disappears when its cause does.';
