create or replace view dict.outbox_streams as
select s.destination, s.participant, s.key_type, s.last as last_sequence, w.id is not null as waiting,
  w.created_at as oldest_waiting_at, coalesce(d.dead, 0) as dead, b.failures, b.since as failing_since, b.retry_at, b.error_code
from dict.outbox_sequences s
left join lateral (
  select id, created_at from dict.outbox o
  where (o.destination, o.participant, o.key_type) = (s.destination, s.participant, s.key_type)
    and o.delivered_at is null and o.dead_at is null
  order by o.sequence limit 1) w on true
left join lateral (
  select count(*) as dead from dict.outbox o
  where (o.destination, o.participant, o.key_type) = (s.destination, s.participant, s.key_type) and o.dead_at is not null) d on true
left join dict.outbox_backoffs b
  on (b.destination, b.participant, b.key_type) = (s.destination, s.participant, s.key_type);
comment on view dict.outbox_streams is
  'The streams of messages, one for each destination (CORE_DICT, ALERT), participant and key type: whether a message waits and since when, how many messages are dead, how often delivery failed in a row and when it is retried.';
