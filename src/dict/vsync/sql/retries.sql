create or replace view dict.retries as
select p.participant, t.key_type, n.retry, x.reason, x.after_reconciliation,
  greatest(a.began_at + policy.minutes[least(n.retry, cardinality(policy.minutes))] * interval '1 minute',
    a.ended_at + policy.minutes[1] * interval '1 minute') as due_at
from dict.retry_policy policy
cross join dict.participants p
cross join unnest(dict.key_types()) as t (key_type)
left join lateral (
  select k.tick, k.decided_at from workflow.schedule_ticks k
  where k.decided_at >= p.configured_at order by k.tick desc limit 1) tick on true
left join lateral (
  select o.started_at, o.ended_at, o.results -> t.key_type ->> 'result' as result, o.results -> t.key_type ->> 'code' as code,
    w.status in ('CANCELLED', 'TERMINATED') as stopped
  from dict.verifications o left join workflow.runs w on w.id = o.run_id
  where o.participant = p.participant and t.key_type = any (o.key_types) order by o.started_at desc limit 1) v on true
left join lateral (
  select w.status, w.created_at, w.closed_at, coalesce(w.error ->> 'code', 'DV_UNEXPECTED') as code, w.error ->> 'class' as class
  from workflow.runs w
  where w.workflow_key = dict.reconciliation_key(p.participant, t.key_type) order by w.id desc limit 1) r on true
left join lateral (
  select max(s.answered_at) as at from dict.sync_verifications s
  where s.participant = p.participant and s.key_type = t.key_type and s.result = 'OK') ok on true
-- The last attempt: a verification with the reconciliation that it started, a reconciliation that somebody started, or a
-- tick that nothing followed.
cross join lateral (
  select
    greatest(v.started_at, case when r.created_at <= v.ended_at then null else r.created_at end, tick.tick) as began_at,
    greatest(v.ended_at, r.closed_at, tick.decided_at) as ended_at,
    coalesce(tick.tick, '-infinity') as last_tick,
    coalesce(r.closed_at > greatest(v.started_at, tick.tick, '-infinity'), false) as in_reconciliation) a
cross join lateral (
  select greatest(count(*), 1)::integer as retry from (
    select from dict.verifications o
    where o.participant = p.participant and t.key_type = any (o.key_types)
      and o.started_at > coalesce(ok.at, '-infinity') and o.started_at >= coalesce(tick.tick, '-infinity') limit 10000) o) n
cross join lateral (
  select
    coalesce(r.status = 'FAILED' and r.closed_at > greatest(ok.at, tick.tick, '-infinity'), false) as after_reconciliation,
    case
      when a.in_reconciliation then
        format('The reconciliation of %s that began at %s failed: %s.', t.key_type, dict.message_time(r.created_at), r.code)
      when coalesce(v.ended_at, '-infinity') <= a.last_tick then
        format('No verification followed the tick of %s.', dict.message_time(tick.tick))
      when v.result = 'NOK' then
        format('The verification that began at %s found NOK and started no reconciliation.', dict.message_time(v.started_at))
      else format('The verification that began at %s got no answer: %s.', dict.message_time(v.started_at),
        coalesce(v.code, 'DV_UNEXPECTED')) end as reason) x
where cardinality(policy.minutes) > 0
  and a.began_at > coalesce(ok.at, '-infinity')
  -- Nothing is open for this key type. A reconciliation that waits for an approval is open.
  and not exists (
    select from workflow.runs w
    where w.workflow_key = dict.reconciliation_key(p.participant, t.key_type) and w.closed_at is null)
  and not exists (
    select from workflow.runs w
    where w.machine = 'verification' and w.closed_at is null
      and w.input ->> 'participant' = p.participant and w.input -> 'keyTypes' ? t.key_type)
  -- What a person has rejected or cancelled stays as it is until the next tick.
  and not coalesce(r.status in ('REJECTED', 'CANCELLED', 'TERMINATED')
    and r.closed_at > coalesce(tick.tick, v.started_at, '-infinity'), false)
  and not coalesce(v.stopped and v.ended_at > a.last_tick, false)
  -- A step that killed three workers would kill the next ones.
  and not coalesce(v.code = 'DV_STEP_POISONED' and v.ended_at > a.last_tick, false)
  -- A repair is tried again only after an error that may pass without anybody's help.
  and (not a.in_reconciliation
    or coalesce(r.status = 'FAILED' and (r.class in ('retryable', 'rate_limited') or r.code = any (policy.passing_codes)), false));
comment on view dict.retries is
  'The automatic retries to come (RETRY_MINUTES): each configured participant and key type whose last attempt ended without an OK for a reason that may pass. retry counts them since the last OK or the last tick, reason says what happened, due_at says when the next one begins. after_reconciliation: a reconciliation has failed since then, so the retry spares CID files.';
