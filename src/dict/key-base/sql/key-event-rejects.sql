create or replace view dict.key_event_rejects as
select k.source, k.id, k.type, k.participant, k.key_type, k.key, k.reason, k.event_time, k.received_at
from dict.key_events k
where k.outcome = 'REFUSED'
  -- A newer event of the key has replaced it.
  and not exists (
    select from dict.key_event_order o
    where (o.participant, o.key_type, o.key) = (k.participant, k.key_type, k.key)
      and o.event_time >= coalesce(k.event_time, k.received_at))
  -- DICT has confirmed since then that the key base is right.
  and not exists (
    select from dict.sync_verifications s
    where s.participant = k.participant and s.key_type = k.key_type and s.result = 'OK' and s.asked_at > k.received_at);
comment on view dict.key_event_rejects is
  'Key events that could not be used and still matter: no newer event of the key was applied, and DICT has not said OK since.';
