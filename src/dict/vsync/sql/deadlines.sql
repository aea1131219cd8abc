create or replace view dict.deadlines as
select p.participant, t.key_type, ok.answered_at as last_ok_at, c.counted_from,
  c.counted_from + s.deadline_hours * interval '1 hour' as deadline_at,
  c.counted_from + s.deadline_hours * interval '1 hour' < workflow.now() as missed,
  a.raised_at as alerted_at
from dict.participants p
cross join unnest(dict.key_types()) as t (key_type)
cross join dict.warning_settings s
left join lateral (
  select max(answered_at) as answered_at from dict.sync_verifications s
  where s.participant = p.participant and s.key_type = t.key_type and s.result = 'OK') ok on true
cross join lateral (select coalesce(ok.answered_at, p.configured_at) as counted_from) c
left join dict.warning_alerts a on a.participant = p.participant and a.key_type = t.key_type and a.code = 'DEADLINE_MISSED'
  and a.cleared_at is null and a.raised_at >= c.counted_from;
comment on view dict.deadlines is
  'For each configured participant and key type: the time by which the next OK must arrive (counted from the last OK, or from when the participant was configured), whether it was missed, and when the alert was raised.';
