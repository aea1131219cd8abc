-- The key base: entries with their CIDs, the VSyncs kept beside them, and the two feeds: connected tables and key events.
-- The functions are in src/dict/*/sql, one file each; the two here define stored values, and so change by migration only.

-- pgcrypto may be installed already, in any schema: one wrapper names that. IMMUTABLE, so that it is inlined.
create extension if not exists pgcrypto with schema dict;
do $$
begin
  execute format(
    'create function dict.hmac_sha256(data bytea, key bytea) returns bytea
     language sql immutable parallel safe return %I.hmac(data, key, ''sha256''::text)',
    (select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'pgcrypto'));
end $$;

-- text::bytea is immutable where convert_to() is not; the database is UTF8 (checked before migrating), and doubling
-- the backslashes is what byteain undoes. A body that Postgres has parsed: it knows then that the generated column
-- entries.cid needs both, and pg_dump writes them in that order. Plain expressions, so that the column inlines them.
create function dict.cid(request_id uuid, key_type text, key text, tax_id_number text, name text, trade_name text,
  participant text, branch text, account_number text, account_type text) returns bytea
language sql immutable parallel safe
return dict.hmac_sha256(
  replace(
    coalesce(key_type, '') || '&' || coalesce(key, '') || '&' || coalesce(tax_id_number, '') || '&' ||
    coalesce(name, '') || '&' || coalesce(trade_name, '') || '&' || coalesce(participant, '') || '&' ||
    coalesce(branch, '') || '&' || coalesce(account_number, '') || '&' || coalesce(account_type, ''),
    '\', '\\')::bytea,
  uuid_send(request_id));
comment on function dict.cid(uuid, text, text, text, text, text, text, text, text, text) is
  'The CID (32 bytes) of an entry: HMAC-SHA256 keyed by the 16 bytes of RequestId over the fields joined by "&", null as "" (DICT API 2.6.1, section on CID).';

-- Entries -------------------------------------------------------------------------------------------------------------

create table dict.participants (
  participant   text primary key check (participant ~ '^[0-9]{8}$'),
  configured_at timestamptz not null default clock_timestamp()
);
comment on table dict.participants is 'The participants this installation serves (PARTICIPANT_ISPB), as its last worker was configured.';

create table dict.entries (
  participant    text not null check (participant ~ '^[0-9]{8}$'),
  key_type       text not null,
  key            text not null,
  request_id     uuid not null,
  owner_type     text not null,
  tax_id_number  text not null,
  name           text not null,
  trade_name     text,
  branch         text,
  account_number text not null,
  account_type   text not null,
  opening_date   timestamptz,
  since          timestamptz not null default clock_timestamp(),
  removed_at     timestamptz,
  changed_why    text,
  changed_xid    xid8 not null default pg_current_xact_id(),
  came_xid       xid8 not null default pg_current_xact_id(),
  cid            bytea not null generated always as (dict.cid(
    request_id, key_type, key, tax_id_number, name, trade_name, participant, branch, account_number, account_type)) stored,
  primary key (participant, key_type, key)
);
comment on table dict.entries is
  'The key base: one row a key, byte-exact as registered at DICT. Removing a key sets removed_at (soft); such rows are in no VSync.';
comment on column dict.entries.since is 'When its CID came (a change of what is no part of the CID leaves it).';
comment on column dict.entries.changed_why is 'Why the row last changed, where the writer said so; kept with the CID that left.';
comment on column dict.entries.changed_xid is
  'The transaction that last changed the row: compared with a kept snapshot it tells what changed since, which clock times cannot (now() is before commit).';
comment on column dict.entries.came_xid is
  'The transaction that brought its CID (a change of what is no part of the CID leaves it): tells whether a snapshot saw the CID here.';

-- Lists the CIDs of a bucket range in order (a bucket is a prefix), and finds the entry of a CID.
create index entries_cid on dict.entries (participant, key_type, cid) where removed_at is null;
-- What changed since a snapshot is found by its transaction; the values only grow, so this costs a writer little.
create index entries_changed on dict.entries (changed_xid);

create table dict.cid_history (
  participant  text not null,
  key_type     text not null,
  key          text not null,
  cid          bytea not null,
  request_id   uuid not null,
  came_at      timestamptz not null,
  came_xid     xid8,
  left_at      timestamptz not null default clock_timestamp(),
  left_why     text,
  left_xid     xid8 not null default pg_current_xact_id(),
  id           bigint generated always as identity primary key
);
comment on table dict.cid_history is 'The folded part of dict.cid_log, which reads it together with what is not folded yet.';
create index cid_history_cid on dict.cid_history (cid);
create index cid_history_key on dict.cid_history (participant, key_type, key);
create index cid_history_left on dict.cid_history (left_xid);

create table dict.cid_changes (
  participant text not null,
  key_type    text not null,
  key         text not null,
  cid         bytea,
  new_cid     bytea,
  request_id  uuid,
  came_at     timestamptz,
  came_xid    xid8,
  left_at     timestamptz,
  left_why    text,
  left_xid    xid8 not null default pg_current_xact_id(),
  -- One sequence for both parts of the log: of one key, what left later has the higher number.
  id          bigint not null default nextval('dict.cid_history_id_seq')
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_insert_threshold = -1);
-- The only index: whether a CID was ever here is asked of each divergence.
create index cid_changes_cid on dict.cid_changes (cid) where cid is not null;
comment on table dict.cid_changes is
  'What statements that changed one key did: the CID that left (null when none did) and the CID that came (likewise). Only ever appended to by writers. Folded by dict.fold_vsync_deltas; till then part of dict.vsync_parts and dict.cid_log.';

-- VSyncs: appended deltas, folded into buckets ------------------------------------------------------------------------

-- Rows that live for seconds: autovacuum takes dead ones away by the thousand.
create table dict.vsync_deltas (
  participant  text not null,
  key_type     text not null,
  bucket       smallint not null,
  count_change bigint not null,
  xor          bit(256) not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_insert_threshold = -1);
comment on table dict.vsync_deltas is
  'What statements changed, a row a touched bucket. Only ever appended to by writers: nothing to wait for, nothing to deadlock with. Folded by dict.fold_vsync_deltas.';

create table dict.vsync_buckets (
  participant text not null,
  key_type    text not null,
  bucket      smallint not null,
  count       bigint not null default 0,
  xor         bit(256) not null default repeat('0', 256)::bit(256),
  primary key (participant, key_type, bucket)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);
comment on table dict.vsync_buckets is
  'Count and XOR of the CIDs by their first 12 bits. A VSync is the XOR of these and of dict.vsync_deltas in one snapshot.';

create table dict.vsync_scans (
  participant      text not null,
  key_type         text not null,
  scanned_at       timestamptz not null,
  entries          bigint not null,
  repaired_buckets   integer not null,
  primary key (participant, key_type)
);
comment on table dict.vsync_scans is
  'The last full recomputation of each VSync from its entries; repaired_buckets > 0 means the kept one was wrong (a disabled trigger, a restore, logical replication).';

-- Triggers: what every writer of entries leaves behind ----------------------------------------------------------------

create trigger reason_given before update of changed_why on dict.entries
  for each row execute function dict.mark_reason_given();
create trigger touch_entry before update on dict.entries for each row execute function dict.touch_entry();

create trigger entries_inserted after insert on dict.entries
  referencing new table as new_rows for each statement execute function dict.entries_inserted();
create trigger entries_updated after update on dict.entries
  referencing old table as old_rows new table as new_rows for each statement execute function dict.entries_updated();
create trigger entries_deleted after delete on dict.entries
  referencing old table as old_rows for each statement execute function dict.entries_deleted();
create trigger entries_truncated before truncate on dict.entries
  for each statement execute function dict.entries_truncated();

-- Connected tables: the key base is fed from the participant's own, and repairs are written to them -------------------

create type dict.key_ref as (participant text, key_type text, key text);
comment on type dict.key_ref is 'Names a key: what a mapping''s functions answer.';

-- A key as the mapping's view shows it: found or not, and why it cannot be used (reason), if so.
create type dict.fed_row as (
  participant text, key_type text, key text, found boolean, reason text, request_id text, owner_type text,
  tax_id_number text, name text, trade_name text, branch text, account_number text, account_type text,
  opening_date timestamptz);

create table dict.feed_sources (
  name           text primary key check (name ~ '^[a-z][a-z0-9_]{0,29}$'),
  participants   text[],
  source_view    text not null,
  apply_function text not null,
  read_query     text not null,
  differing_query text not null,
  unnamed_query  text not null,
  several_tables boolean not null default false,
  connected_at   timestamptz not null default workflow.now(),
  loaded_at      timestamptz
);
comment on table dict.feed_sources is
  'The participants'' own key tables that feed dict.entries (docs/guides/connected-tables.md): the view that shows them, the function that writes repairs, and the queries made of the view.';
comment on column dict.feed_sources.participants is 'Whom it feeds; null: everyone.';
comment on column dict.feed_sources.several_tables is
  'Two transactions can then change one key without meeting in any row: what they fed is looked at again once both have ended.';

create table dict.feed_tables (
  source        text not null references dict.feed_sources on delete cascade,
  table_name    text not null,
  keys_function text not null,
  columns       text[],
  primary key (source, table_name)
);
comment on table dict.feed_tables is
  'The tables whose changes feed: by triggers dict_vsync_<source>_insert, _update, _delete and _truncate.';

create table dict.feed_rejects (
  source      text not null references dict.feed_sources on delete cascade,
  participant text not null,
  key_type    text not null,
  key         text not null,
  reason      text not null,
  since       timestamptz not null default workflow.now(),
  primary key (source, participant, key_type, key)
);
comment on table dict.feed_rejects is
  'Keys of a source that cannot be used and are in no VSync: the reason as a code, or the SQLSTATE of what the mapping raised; values are never kept. Goes when the key becomes usable. Without participant, key type and key: the mapping as a whole.';

create table dict.feed_queue (
  id           bigint generated always as identity primary key,
  source       text not null references dict.feed_sources on delete cascade,
  participant  text,
  key_type     text,
  key          text,
  missed       boolean not null,
  look_again_after xid8
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
comment on table dict.feed_queue is
  'Keys to look at again: those another transaction held while they changed (missed), and those of a source of several tables. No key: all of the source. Only ever appended to by writers. Worked off by dict.process_feed_queue.';
comment on column dict.feed_queue.look_again_after is
  'Set when first seen: once every transaction before this id has ended, nothing that ran beside the change can be unseen any more.';
create index feed_queue_missed on dict.feed_queue (participant, key_type, key) where missed and look_again_after is null;
create index feed_queue_due on dict.feed_queue (look_again_after);

-- Key events: what a participant's core system publishes of its keys (Pulsar) -----------------------------------------

create table dict.key_events (
  source      text not null,
  id          text not null,
  type        text not null,
  participant text not null,
  key_type    text not null,
  key         text not null,
  event_time  timestamptz,
  outcome     text not null check (outcome in ('APPLIED', 'OLDER', 'REFUSED')),
  reason      text,
  received_at timestamptz not null,
  primary key (source, id),
  check ((reason is not null) = (outcome = 'REFUSED'))
);
comment on table dict.key_events is
  'The key events received, by CloudEvents source and id, so that each counts once: APPLIED, OLDER than what was applied to its key, or REFUSED with a reason in codes, never values. Falls to retention (KEY_EVENTS_RETENTION_DAYS).';
create index key_events_received on dict.key_events (received_at);
create index key_events_refused on dict.key_events (participant, key_type) where outcome = 'REFUSED';

create table dict.key_event_order (
  participant text not null,
  key_type    text not null,
  key         text not null,
  event_time  timestamptz not null,
  sequence    text,
  source      text not null,
  id          text not null,
  primary key (participant, key_type, key)
);
comment on table dict.key_event_order is
  'The newest event of each key: an older one that comes later is told by it, however much later. Its row is also what two workers with events of one key wait for.';
