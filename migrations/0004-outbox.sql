-- The outbox: messages in streams, one stream per destination, participant and key type. A destination that is
-- unreachable does not delay the other.
-- The functions are in src/notify/outbox/sql, one file each.

create table dict.outbox_sequences (
  destination text not null default 'CORE_DICT' check (destination in ('CORE_DICT', 'ALERT')),
  participant text not null,
  key_type    text not null,
  last        bigint not null,
  primary key (destination, participant, key_type)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
comment on table dict.outbox_sequences is 'The last sequence number used in each stream.';

create table dict.outbox (
  id           uuid primary key default workflow.uuidv7(),
  destination  text not null default 'CORE_DICT' check (destination in ('CORE_DICT', 'ALERT')),
  participant  text not null,
  key_type     text not null,
  sequence     bigint not null,
  type         text not null,
  payload      jsonb not null,
  run_id       uuid,
  created_at   timestamptz not null,
  delivered_at timestamptz,
  attempts     integer not null default 0,
  last_error   text,
  correlation_id text,
  -- How often the transport refused the message for good, and since when the message is dead.
  refusals     integer not null default 0,
  dead_at      timestamptz,
  unique (destination, participant, key_type, sequence)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
comment on table dict.outbox is
  'Messages, written in the transaction that caused them. The id never changes. The sequence counts per destination, participant and key type ("ALL" for a summary of several key types).';
comment on column dict.outbox.destination is 'CORE_DICT: Core-Dict, by NOTIFY_URL. ALERT: a person, by ALERT_URL.';
comment on column dict.outbox.dead_at is
  'Since when the message is dead: the transport refused it for good, several times. Its stream continues without it. dict.retry_outbox sends it again.';
create index outbox_waiting on dict.outbox (destination, participant, key_type, sequence) where delivered_at is null and dead_at is null;
create index outbox_dead on dict.outbox (destination, participant, key_type, sequence) where dead_at is not null;
-- For retention.
create index outbox_delivered on dict.outbox (delivered_at) where delivered_at is not null;

create table dict.notifications (
  id           uuid primary key,
  participant  text not null,
  key_type     text not null,
  sequence     bigint not null,
  type         text not null,
  payload      jsonb not null,
  created_at   timestamptz not null,
  delivered_at timestamptz not null default clock_timestamp(),
  unique (participant, key_type, sequence)
);
comment on table dict.notifications is
  'The messages that Core-Dict reads with the default transport: one row per message, in the order of sequence per participant and key type. The payload is a CloudEvent (docs/guides/core-dict.md). Each message is announced on the channel dict_vsync by NOTIFY with its id, participant, key type, sequence and type.';
create index notifications_delivered on dict.notifications (delivered_at);

-- Not in dict.outbox_sequences, because publishing transactions lock the rows of that table.
create table dict.outbox_backoffs (
  destination text not null default 'CORE_DICT' check (destination in ('CORE_DICT', 'ALERT')),
  participant text not null,
  key_type    text not null,
  failures    integer not null,
  since       timestamptz not null,
  retry_at    timestamptz not null,
  error_code  text not null,
  primary key (destination, participant, key_type)
);
comment on table dict.outbox_backoffs is
  'The streams whose last delivery failed, until one succeeds: how often in a row, since when, and when it is retried.';
