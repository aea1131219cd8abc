-- The key base: entries with their CIDs, their VSyncs, and the two feeds: connected tables and key events.
-- The functions are in src/dict/*/sql, one file each. The two functions here define stored values, so they change only
-- by a migration.

-- pgcrypto may be installed already, in any schema. Only this wrapper names that schema. IMMUTABLE lets it be inlined.
create extension if not exists pgcrypto with schema dict;
do $$
begin
  execute format(
    'create function dict.hmac_sha256(data bytea, key bytea) returns bytea
     language sql immutable parallel safe return %I.hmac(data, key, ''sha256''::text)',
    (select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'pgcrypto'));
end $$;

-- text::bytea is used because it is immutable and convert_to() is not. The database is UTF8 (checked before migrating).
-- The backslashes are doubled because the cast halves them. The bodies are parsed SQL, so Postgres knows that the
-- generated column entries.cid depends on both functions, and pg_dump writes them first. They are plain expressions, so
-- that the column inlines them.
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
comment on table dict.participants is 'The participants that this installation serves, as PARTICIPANT_ISPB of the worker that started last says.';

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
  'The key base: one row per key, byte-exact as registered at DICT. Removing a key only sets removed_at. Such rows are in no VSync.';
comment on column dict.entries.since is 'When the entry got its current CID. A change of fields outside the CID does not change it.';
comment on column dict.entries.changed_why is 'Why the row last changed, if the writer gave a reason. Kept in the log with the CID that was replaced or removed.';
comment on column dict.entries.changed_xid is
  'The transaction that last changed the row. Compared with a stored snapshot it shows what changed since. Clock times cannot show this, because now() is earlier than the commit.';
comment on column dict.entries.came_xid is
  'The transaction that gave the entry its current CID. It shows whether a snapshot saw the CID here. A change of fields outside the CID does not change it.';

-- Lists the CIDs of a bucket range in order (a bucket is a prefix), and finds the entry of a CID.
create index entries_cid on dict.entries (participant, key_type, cid) where removed_at is null;
-- Finds what changed since a snapshot. The values only grow, so the index costs a writer little.
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
comment on table dict.cid_history is 'The folded part of the log of CIDs that were replaced or removed. dict.cid_log reads it together with the part that is not folded yet.';
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
  -- One sequence for both parts of the log: of two CIDs of a key, the one replaced later has the higher number.
  id          bigint not null default nextval('dict.cid_history_id_seq')
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_insert_threshold = -1);
-- The only index. For each divergence we look up whether its CID was ever here.
create index cid_changes_cid on dict.cid_changes (cid) where cid is not null;
comment on table dict.cid_changes is
  'What statements that changed a single key did: the old CID (null if the key did not exist) and the new CID (null if the key was removed). Writers only append. dict.fold_vsync_deltas folds the rows; until then they are part of dict.vsync_parts and dict.cid_log.';

-- VSyncs: appended deltas, folded into buckets ------------------------------------------------------------------------


-- The rows live only for seconds, so autovacuum runs by their number and not by a share of the table.
create table dict.vsync_deltas (
  participant  text not null,
  key_type     text not null,
  bucket       smallint not null,
  count_change bigint not null,
  xor          bit(256) not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_insert_threshold = -1);
comment on table dict.vsync_deltas is
  'What statements changed in the VSyncs, one row per changed bucket. Writers only append, so they never wait for each other and never deadlock. Folded by dict.fold_vsync_deltas.';

create table dict.vsync_buckets (
  participant text not null,
  key_type    text not null,
  bucket      smallint not null,
  count       bigint not null default 0,
  xor         bit(256) not null default repeat('0', 256)::bit(256),
  primary key (participant, key_type, bucket)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);
comment on table dict.vsync_buckets is
  'Count and XOR of the CIDs by their first 12 bits. A VSync is the XOR of these rows, dict.vsync_deltas and dict.cid_changes, read in one snapshot.';

create table dict.vsync_scans (
  participant      text not null,
  key_type         text not null,
  scanned_at       timestamptz not null,
  entries          bigint not null,
  repaired_buckets   integer not null,
  primary key (participant, key_type)
);
comment on table dict.vsync_scans is
  'The last full recomputation of each VSync from its entries. repaired_buckets > 0: the stored VSync was wrong (because of a disabled trigger, a restore or logical replication).';

-- Triggers: every change of entries, whoever makes it, is recorded ----------------------------------------------------


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

-- Connected tables: they feed the key base, and repairs are written to them -------------------------------------------


create type dict.key_ref as (participant text, key_type text, key text);
comment on type dict.key_ref is 'Names a key. A mapping''s keys functions return this type.';

-- A key as the mapping's view shows it: whether it was found, and if it cannot be used the reason.
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
  'The participants'' own key tables that feed dict.entries (docs/guides/connected-tables.md): the view that shows them, the function that writes repairs, and the queries generated from the view.';
comment on column dict.feed_sources.participants is 'The participants that it feeds. Null: all participants.';
comment on column dict.feed_sources.several_tables is
  'Whether a key spans several tables. Two transactions can then change one key without locking the same row, so its keys are read again once both have ended.';

create table dict.feed_tables (
  source        text not null references dict.feed_sources on delete cascade,
  table_name    text not null,
  keys_function text not null,
  columns       text[],
  primary key (source, table_name)
);
comment on table dict.feed_tables is
  'The tables whose changes feed the key base, by the triggers dict_vsync_<source>_insert, _update, _delete and _truncate.';

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
  'Keys of a source that cannot be used and are in no VSync. The reason is a code, or the SQLSTATE of the mapping''s error; values are never stored. A row is removed when its key becomes usable. A row with empty participant, key type and key stands for the mapping as a whole.';

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
  'Keys to read again: those that another transaction had locked while they changed (missed), and those of a source of several tables. A row without a key stands for all keys of the source. Writers only append. Processed by dict.process_feed_queue.';
comment on column dict.feed_queue.look_again_after is
  'Set when the row is first processed. Once every transaction before this id has ended, everything that ran simultaneously with the change is visible.';
create index feed_queue_missed on dict.feed_queue (participant, key_type, key) where missed and look_again_after is null;
create index feed_queue_due on dict.feed_queue (look_again_after);

-- Key events: what a participant's core system publishes about its keys (Pulsar) --------------------------------------


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
  'The key events received, by CloudEvents source and id, so that each counts once: APPLIED, OLDER than the newest event applied to its key, or REFUSED with a reason in codes, never values. Removed by retention (KEY_EVENTS_RETENTION_DAYS).';
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
  'The newest event of each key. It shows that an event is older, however late the event is received. Two workers with events of the same key also wait for each other by locking its row.';
