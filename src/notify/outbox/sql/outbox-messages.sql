create or replace view dict.outbox_messages as
select o.id, o.destination, o.participant, o.key_type, o.sequence, o.type, o.run_id, o.created_at,
  case when o.dead_at is null then 'WAITING' else 'DEAD' end as state,
  o.attempts, coalesce(o.last_error, b.error_code) as error_code, o.dead_at,
  case when o.dead_at is null then b.retry_at end as retry_at
from dict.outbox o left join dict.outbox_backoffs b using (destination, participant, key_type)
where o.delivered_at is null;
comment on view dict.outbox_messages is
  'The undelivered messages to Core-Dict, and the alerts to a person (destination ALERT), without their content. WAITING: will be delivered, but not before retry_at if delivery failed. DEAD: refused by the transport; dict.retry_outbox sends it again.';
