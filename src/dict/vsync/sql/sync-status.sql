create or replace view dict.sync_status as
select p.participant, t.key_type, l.result as last_result, l.answered_at as last_answered_at, ok.answered_at as last_ok_at,
  workflow.now() - ok.answered_at as age_of_last_ok, r.run_id as open_reconciliation,
  dict.incomplete(p.participant, t.key_type) as incomplete,
  d.deadline_at, coalesce(d.missed, false) as deadline_missed, d.alerted_at as deadline_alerted_at,
  coalesce(h.held_keys, 0) as held_keys, h.held_since
from dict.known_participants p
cross join unnest(dict.key_types()) as t (key_type)
left join lateral (
  select result, answered_at from dict.sync_verifications s
  where s.participant = p.participant and s.key_type = t.key_type and s.answered_at is not null
  order by asked_at desc limit 1) l on true
left join lateral (
  select answered_at from dict.sync_verifications s
  where s.participant = p.participant and s.key_type = t.key_type and s.result = 'OK'
  order by asked_at desc limit 1) ok on true
left join lateral (
  select w.id as run_id from workflow.runs w
  where w.workflow_key = dict.reconciliation_key(p.participant, t.key_type) and w.closed_at is null) r on true
-- Counted in one scan for all rows of the view.
left join (
  select k.participant, k.key_type, count(*) as held_keys, min(k.held_at) as held_since from dict.held_keys k
  where k.released_at is null group by 1, 2) h on (h.participant, h.key_type) = (p.participant, t.key_type)
left join dict.deadlines d on (d.participant, d.key_type) = (p.participant, t.key_type);
comment on view dict.sync_status is
  'For each participant and key type: DICT''s last answer, the last OK and its age, the open reconciliation, and how many keys are held since when. For configured participants also the deadline of the next OK (the regulator allows 36 hours) and whether it was missed.';
