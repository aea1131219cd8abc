create or replace view dict.outbox_messages as
select o.id, o.participant, o.key_type, o.sequence, o.type, o.run_id, o.created_at,
  case when o.dead_at is null then 'WAITING' else 'DEAD' end as state,
  o.attempts, coalesce(o.last_error, b.error_code) as error_code, o.dead_at,
  case when o.dead_at is null then b.retry_at end as retry_at
from dict.outbox o left join dict.outbox_backoffs b using (participant, key_type)
where o.delivered_at is null;
comment on view dict.outbox_messages is
  'The messages to Core-Dict that are not delivered, without their content: WAITING for their turn (retry_at: not before, because the way out failed), or DEAD, put aside.';
