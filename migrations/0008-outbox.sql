-- The outbox by streams (one a participant and key type): backing off, messages put aside, retention.

alter table dict.outbox
  add column correlation_id text,
  -- How often the way refused it for good, and since when it is put aside for that.
  add column refusals integer not null default 0,
  add column dead_at timestamptz;
comment on column dict.outbox.dead_at is
  'Put aside: the way out refused the message for good, several times. Its stream went on without it; dict.retry_outbox sends it again.';

drop index dict.outbox_due;
create index outbox_waiting on dict.outbox (participant, key_type, sequence) where delivered_at is null and dead_at is null;
create index outbox_dead on dict.outbox (participant, key_type, sequence) where dead_at is not null;
-- For retention.
create index outbox_delivered on dict.outbox (delivered_at) where delivered_at is not null;
create index notifications_delivered on dict.notifications (delivered_at);

comment on table dict.notifications is
  'What Core-Dict reads (the default way out): one row a message, in order of sequence per participant and key type; the payload is a CloudEvent (docs/core-dict.md). Each is announced on the channel dict_vsync by NOTIFY with its id, participant, key type, sequence and type.';

-- Apart from dict.outbox_sequences, whose rows publishing transactions lock.
create table dict.outbox_backoffs (
  participant text not null,
  key_type    text not null,
  failures    integer not null,
  since       timestamptz not null,
  retry_at    timestamptz not null,
  error_code  text not null,
  primary key (participant, key_type)
);
comment on table dict.outbox_backoffs is
  'Streams of messages whose way out failed last time, until it succeeds: how often in a row, since when, when it is tried again.';

-- How many pages of changes a run has told, so that its last message can say how many there are.
alter table dict.reconciliations
  add column pages_told integer not null default 0,
  add column changes_told bigint not null default 0;
alter table dict.undos
  add column pages_told integer not null default 0,
  add column changes_told bigint not null default 0;

create or replace function dict.publish(of_participant text, of_key_type text, of_type text, content jsonb, of_run uuid) returns uuid
language plpgsql security definer set search_path = pg_catalog, dict as $$
declare
  n bigint;
  message uuid;
begin
  -- The counter's row lock keeps the sequence without gaps and in commit order; only runs take it, never key writers.
  insert into dict.outbox_sequences as s values (of_participant, of_key_type, 1)
  on conflict (participant, key_type) do update set last = s.last + 1 returning last into n;
  insert into dict.outbox (participant, key_type, sequence, type, payload, run_id, correlation_id, created_at)
  values (of_participant, of_key_type, n, of_type, content, of_run,
    (select r.correlation_id from workflow.runs r where r.id = of_run), workflow.now())
  returning id into message;
  return message;
end $$;

create function dict.retry_outbox(messages uuid[] default null) returns bigint
language plpgsql security definer set search_path = pg_catalog, dict, workflow as $$
declare
  r record;
  n bigint;
  again bigint := 0;
  missing uuid;
begin
  select m into missing from unnest(messages) m
  where not exists (select from dict.outbox o where o.id = m and o.dead_at is not null) limit 1;
  if missing is not null then
    perform workflow.raise_error('DV_MESSAGE_NOT_DEAD',
      format('Message %s is not put aside: there is none, or it waits or is delivered. `dict-vsync outbox list --dead` lists those that are.', missing));
  end if;
  -- In one order for all callers: each stream's counter is locked.
  for r in
    select id, participant, key_type from dict.outbox
    where dead_at is not null and (messages is null or id = any (messages))
    order by participant, key_type, sequence for update
  loop
    -- At the end of its stream: a broker that drops repetitions drops every sequence lower than its last.
    update dict.outbox_sequences s set last = s.last + 1
    where s.participant = r.participant and s.key_type = r.key_type returning last into n;
    update dict.outbox set sequence = n, dead_at = null, refusals = 0, last_error = null where id = r.id;
    again := again + 1;
  end loop;
  return again;
end $$;
comment on function dict.retry_outbox(uuid[]) is
  'Sends messages again that were put aside (null: all of them): same ids, new sequences at the end of their streams. Returns how many. Errors: DV_MESSAGE_NOT_DEAD, and then none is sent.';

create view dict.outbox_messages as
select o.id, o.participant, o.key_type, o.sequence, o.type, o.run_id, o.created_at,
  case when o.dead_at is null then 'WAITING' else 'DEAD' end as state,
  o.attempts, coalesce(o.last_error, b.error_code) as error_code, o.dead_at,
  case when o.dead_at is null then b.retry_at end as retry_at
from dict.outbox o left join dict.outbox_backoffs b using (participant, key_type)
where o.delivered_at is null;
comment on view dict.outbox_messages is
  'The messages to Core-Dict that are not delivered, without their content: WAITING for their turn (retry_at: not before, because the way out failed), or DEAD, put aside.';

create view dict.outbox_streams as
select s.participant, s.key_type, s.last as last_sequence, w.id is not null as waiting, w.created_at as oldest_waiting_at,
  coalesce(d.dead, 0) as dead, b.failures, b.since as failing_since, b.retry_at, b.error_code
from dict.outbox_sequences s
left join lateral (
  select id, created_at from dict.outbox o
  where o.participant = s.participant and o.key_type = s.key_type and o.delivered_at is null and o.dead_at is null
  order by o.sequence limit 1) w on true
left join lateral (
  select count(*) as dead from dict.outbox o
  where o.participant = s.participant and o.key_type = s.key_type and o.dead_at is not null) d on true
left join dict.outbox_backoffs b on b.participant = s.participant and b.key_type = s.key_type;
comment on view dict.outbox_streams is
  'The streams of messages to Core-Dict, one a participant and key type: whether something waits and since when, how many are put aside, how often the way out failed in a row and when it is tried again.';
