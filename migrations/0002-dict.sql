-- The domain: the key base and its VSyncs, verifications, reconciliations, divergences, notifications.
create schema dict;

-- pgcrypto may be installed already, in any schema: one wrapper pins it. SQL and IMMUTABLE, so that it is inlined.
create extension if not exists pgcrypto with schema dict;
do $$
begin
  execute format(
    'create function dict.hmac_sha256(data bytea, key bytea) returns bytea
     language sql immutable parallel safe as $f$ select %I.hmac(data, key, ''sha256'') $f$',
    (select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'pgcrypto'));
end $$;

-- CID and VSync ------------------------------------------------------------------------------------------------------

-- text::bytea is immutable where convert_to() is not; the database is UTF8 (checked before migrating), and doubling
-- the backslashes is what byteain undoes. A body of plain expressions, so that a generated column inlines it.
create function dict.cid(request_id uuid, key_type text, key text, tax_id_number text, name text, trade_name text,
  participant text, branch text, account_number text, account_type text) returns bytea
language sql immutable parallel safe as $$
  select dict.hmac_sha256(
    replace(
      coalesce(key_type, '') || '&' || coalesce(key, '') || '&' || coalesce(tax_id_number, '') || '&' ||
      coalesce(name, '') || '&' || coalesce(trade_name, '') || '&' || coalesce(participant, '') || '&' ||
      coalesce(branch, '') || '&' || coalesce(account_number, '') || '&' || coalesce(account_type, ''),
      '\', '\\')::bytea,
    uuid_send(request_id))
$$;
comment on function dict.cid(uuid, text, text, text, text, text, text, text, text, text) is
  'The CID (32 bytes) of an entry: HMAC-SHA256 keyed by the 16 bytes of RequestId over the fields joined by "&", null as "" (DICT API 2.6.1, section on CID).';

create function dict.bucket(cid bytea) returns smallint
language sql immutable parallel safe as $$
  select ((get_byte(cid, 0) << 4) | (get_byte(cid, 1) >> 4))::smallint
$$;
comment on function dict.bucket(bytea) is 'The bucket of a CID: its first 12 bits, 0 to 4095.';

create function dict.bits(cid bytea) returns bit(256)
language sql immutable parallel safe as $$ select ('x' || encode(cid, 'hex'))::bit(256) $$;
comment on function dict.bits(bytea) is 'A CID as a number that bit_xor takes: bytea has no XOR.';

create function dict.hex(bits bit(256)) returns text
language sql immutable parallel safe as $$
  select string_agg(lpad(to_hex(substring(bits from i * 32 + 1 for 32)::bit(32)::bigint), 8, '0'), '' order by i)
  from generate_series(0, 7) i
$$;
comment on function dict.hex(bit) is 'A VSync as BACEN writes it: 64 lowercase hex digits.';

-- The key base -------------------------------------------------------------------------------------------------------

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

create function dict.entry_json(e dict.entries) returns jsonb
language sql stable as $$
  select case when e.key is not null then jsonb_build_object(
    'participant', e.participant, 'keyType', e.key_type, 'key', e.key, 'requestId', e.request_id,
    'ownerType', e.owner_type, 'taxIdNumber', e.tax_id_number, 'name', e.name, 'tradeName', e.trade_name,
    'branch', e.branch, 'accountNumber', e.account_number, 'accountType', e.account_type,
    'openingDate', e.opening_date, 'cid', encode(e.cid, 'hex')) end
$$;
comment on function dict.entry_json(dict.entries) is 'An entry as divergences and messages to Core-Dict show it.';

create table dict.cid_log (
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
comment on table dict.cid_log is
  'Each CID that left the key base, with its key and when it came and went (Manual §9: keep every CID ever generated). See dict.cids.';
create index cid_log_cid on dict.cid_log (cid);
create index cid_log_key on dict.cid_log (participant, key_type, key);
create index cid_log_left on dict.cid_log (left_xid);

create view dict.cids as
  select participant, key_type, key, cid, request_id, since as came_at, null::timestamptz as left_at, null::text as left_why
  from dict.entries where removed_at is null
  union all
  select participant, key_type, key, cid, request_id, came_at, left_at, left_why from dict.cid_log;
comment on view dict.cids is 'Every CID that ever was, with its key; left_at is null for those present.';

-- VSyncs: appended deltas, folded into buckets ---------------------------------------------------------------------------

create table dict.vsync_deltas (
  participant  text not null,
  key_type     text not null,
  bucket       smallint not null,
  count_change bigint not null,
  xor          bit(256) not null
);
comment on table dict.vsync_deltas is
  'What statements changed, a row a touched bucket. Only ever appended to by writers: nothing to wait for, nothing to deadlock with. Folded by dict.fold_vsync_deltas.';

create table dict.vsync_buckets (
  participant text not null,
  key_type    text not null,
  bucket      smallint not null,
  count       bigint not null default 0,
  xor         bit(256) not null default repeat('0', 256)::bit(256),
  primary key (participant, key_type, bucket)
) with (fillfactor = 50);
comment on table dict.vsync_buckets is
  'Count and XOR of the CIDs by their first 12 bits. A VSync is the XOR of these and of dict.vsync_deltas in one snapshot.';

create function dict.mark_said_why() returns trigger
language plpgsql as $$
begin
  -- Tells touch_entry, which fires next (triggers go by name), a reason said again from one merely left over.
  new.changed_xid := null;
  return new;
end $$;
create trigger said_why before update of changed_why on dict.entries
  for each row execute function dict.mark_said_why();

create function dict.touch_entry() returns trigger
language plpgsql as $$
declare
  said_why boolean := new.changed_xid is null;
begin
  -- Column by column, not "new is distinct from old": before the row is written, its generated cid is null.
  if (new.participant, new.key_type, new.key, new.request_id, new.owner_type, new.tax_id_number, new.name, new.trade_name,
      new.branch, new.account_number, new.account_type, new.opening_date, new.removed_at) is not distinct from
     (old.participant, old.key_type, old.key, old.request_id, old.owner_type, old.tax_id_number, old.name, old.trade_name,
      old.branch, old.account_number, old.account_type, old.opening_date, old.removed_at) then
    -- What changes nothing is no change, and has no reason.
    new.changed_xid := old.changed_xid;
    new.changed_why := old.changed_why;
    return new;
  end if;
  new.changed_xid := pg_current_xact_id();
  -- A reason belongs to one change: the next writer's silence doesn't inherit it.
  if not said_why then
    new.changed_why := null;
  end if;
  new.came_xid := old.came_xid;
  if (new.participant, new.key_type, new.key, new.request_id, new.tax_id_number, new.name, coalesce(new.trade_name, ''),
      coalesce(new.branch, ''), new.account_number, new.account_type, new.removed_at is null) is distinct from
     (old.participant, old.key_type, old.key, old.request_id, old.tax_id_number, old.name, coalesce(old.trade_name, ''),
      coalesce(old.branch, ''), old.account_number, old.account_type, old.removed_at is null) then
    new.came_xid := new.changed_xid;
    if new.since = old.since then
      new.since := clock_timestamp();
    end if;
  end if;
  return new;
end $$;
create trigger touch_entry before update on dict.entries for each row execute function dict.touch_entry();

create function dict.changed_since(changed xid8, kept pg_snapshot) returns boolean
language plpgsql volatile as $$
begin
  -- A transaction id that this cluster has not reached came with a dump from another: no change made here.
  return not pg_visible_in_snapshot(changed, kept)
    and (changed < pg_snapshot_xmax(pg_current_snapshot()) or changed = pg_current_xact_id_if_assigned());
end $$;
comment on function dict.changed_since(xid8, pg_snapshot) is
  'Whether a committed change was made after the snapshot. Volatile on purpose: it must know of what committed while the caller waited for a lock.';

-- All three run as the owner: who may write keys need not be able to write these tables.
create function dict.entries_inserted() returns trigger
language plpgsql security definer set search_path = pg_catalog, dict as $$
begin
  insert into dict.vsync_deltas (participant, key_type, bucket, count_change, xor)
  select participant, key_type, dict.bucket(cid), count(*), bit_xor(dict.bits(cid))
  from new_rows where removed_at is null group by 1, 2, 3;
  return null;
end $$;
create trigger entries_inserted after insert on dict.entries
  referencing new table as new_rows for each statement execute function dict.entries_inserted();

create function dict.entries_updated() returns trigger
language plpgsql security definer set search_path = pg_catalog, dict as $$
begin
  insert into dict.vsync_deltas (participant, key_type, bucket, count_change, xor)
  select participant, key_type, dict.bucket(cid), sum(change), bit_xor(dict.bits(cid))
  from (select participant, key_type, cid, -1 as change from old_rows where removed_at is null
        union all
        select participant, key_type, cid, 1 from new_rows where removed_at is null) both_sides
  group by 1, 2, 3
  having sum(change) <> 0 or bit_xor(dict.bits(cid)) <> repeat('0', 256)::bit(256);

  -- A CID left when no new row of the statement holds it for the same key.
  -- It leaves the moment its successor comes.
  insert into dict.cid_log (participant, key_type, key, cid, request_id, came_at, came_xid, left_at, left_why)
  select o.participant, o.key_type, o.key, o.cid, o.request_id, o.since, o.came_xid,
    greatest(o.since, coalesce(case when n.removed_at is null then n.since end, clock_timestamp())),
    coalesce(n.changed_why, case when n.removed_at is null then 'updated' else 'removed' end)
  from old_rows o
  left join new_rows n using (participant, key_type, key)
  where o.removed_at is null and (n.cid is distinct from o.cid or n.removed_at is not null);
  return null;
end $$;
create trigger entries_updated after update on dict.entries
  referencing old table as old_rows new table as new_rows for each statement execute function dict.entries_updated();

create function dict.entries_deleted() returns trigger
language plpgsql security definer set search_path = pg_catalog, dict as $$
begin
  insert into dict.vsync_deltas (participant, key_type, bucket, count_change, xor)
  select participant, key_type, dict.bucket(cid), -count(*), bit_xor(dict.bits(cid))
  from old_rows where removed_at is null group by 1, 2, 3;

  insert into dict.cid_log (participant, key_type, key, cid, request_id, came_at, came_xid, left_why)
  select participant, key_type, key, cid, request_id, since, came_xid, 'deleted' from old_rows where removed_at is null;
  return null;
end $$;
create trigger entries_deleted after delete on dict.entries
  referencing old table as old_rows for each statement execute function dict.entries_deleted();

create function dict.entries_truncated() returns trigger
language plpgsql security definer set search_path = pg_catalog, dict as $$
begin
  -- TRUNCATE has no transition table, but BEFORE it the rows are still there, and it holds the table's exclusive lock.
  insert into dict.vsync_deltas (participant, key_type, bucket, count_change, xor)
  select participant, key_type, dict.bucket(cid), -count(*), bit_xor(dict.bits(cid))
  from dict.entries where removed_at is null group by 1, 2, 3;

  insert into dict.cid_log (participant, key_type, key, cid, request_id, came_at, came_xid, left_why)
  select participant, key_type, key, cid, request_id, since, came_xid, 'truncated' from dict.entries where removed_at is null;
  return null;
end $$;
create trigger entries_truncated before truncate on dict.entries
  for each statement execute function dict.entries_truncated();

create function dict.fold_vsync_deltas(most integer default 20000) returns integer
language plpgsql security definer set search_path = pg_catalog, dict as $$
declare
  folded integer;
begin
  -- One at a time: two would lock the same buckets in different orders.
  if not pg_try_advisory_xact_lock(hashtext('dict-vsync fold')) then
    return 0;
  end if;
  with taken as (
    delete from dict.vsync_deltas where ctid = any (array(select ctid from dict.vsync_deltas limit most))
    returning *),
  summed as (
    select participant, key_type, bucket, sum(count_change) as change, bit_xor(xor) as xor
    from taken group by 1, 2, 3),
  written as (
    insert into dict.vsync_buckets as b (participant, key_type, bucket, count, xor)
    select participant, key_type, bucket, change, xor from summed
    on conflict (participant, key_type, bucket) do update set count = b.count + excluded.count, xor = b.xor # excluded.xor
    where excluded.count <> 0 or excluded.xor <> repeat('0', 256)::bit(256))
  select count(*) into folded from taken;
  return folded;
end $$;
comment on function dict.fold_vsync_deltas(integer) is
  'Folds up to `most` deltas into their buckets; returns how many. Called by workers all the time; safe at any moment.';

create view dict.vsync_parts as
  select participant, key_type, bucket, count, xor from dict.vsync_buckets
  union all
  select participant, key_type, bucket, count_change, xor from dict.vsync_deltas;
comment on view dict.vsync_parts is 'Buckets and the deltas not yet folded: one statement over it is one snapshot of both.';

create function dict.vsync(of_participant text, of_key_type text, out entries bigint, out vsync text)
language sql stable security definer set search_path = pg_catalog, dict as $$
  select coalesce(sum(count), 0), dict.hex(coalesce(bit_xor(xor), repeat('0', 256)::bit(256)))
  from dict.vsync_parts where participant = of_participant and key_type = of_key_type
$$;
comment on function dict.vsync(text, text) is
  'The VSync of a participant and key type (64 hex digits; the empty set is 64 zeros) and how many entries it covers. About a millisecond at any number of keys.';

create function dict.key_types() returns text[]
language sql immutable as $$ select array['CNPJ', 'CPF', 'EMAIL', 'EVP', 'PHONE'] $$;
comment on function dict.key_types() is 'BACEN''s key types (DICT API 2.6.1, KeyType), sorted.';

create table dict.vsync_scans (
  participant      text not null,
  key_type         text not null,
  scanned_at       timestamptz not null,
  entries          bigint not null,
  mended_buckets   integer not null,
  primary key (participant, key_type)
);
comment on table dict.vsync_scans is
  'The last full recomputation of each VSync from its entries; mended_buckets > 0 means the kept one was wrong (a disabled trigger, a restore, logical replication).';

create function dict.recalculate_vsync(of_participant text, of_key_type text,
  out entries bigint, out vsync text, out kept_vsync text, out mended_buckets integer)
language plpgsql security definer set search_path = pg_catalog, dict as $$
begin
  -- Two at once would both append the difference, and so undo each other.
  perform pg_advisory_xact_lock(hashtext('dict-vsync recalculate'), hashtext(of_participant || of_key_type));
  -- One statement is one snapshot of the entries, the buckets and the deltas. The difference is appended, never
  -- written over: what commits meanwhile appends its own.
  with scanned as (
    select dict.bucket(cid) as bucket, count(*) as count, bit_xor(dict.bits(cid)) as xor
    from dict.entries e
    where e.participant = of_participant and e.key_type = of_key_type and removed_at is null group by 1),
  kept as (
    select bucket, sum(count) as count, bit_xor(xor) as xor
    from dict.vsync_parts p where p.participant = of_participant and p.key_type = of_key_type group by 1),
  compared as (
    select bucket, coalesce(s.count, 0) - coalesce(k.count, 0) as count_change,
      coalesce(s.xor, repeat('0', 256)::bit(256)) # coalesce(k.xor, repeat('0', 256)::bit(256)) as xor,
      s.count as scanned_count, s.xor as scanned_xor, k.xor as kept_xor
    from scanned s full join kept k using (bucket)),
  mended as (
    insert into dict.vsync_deltas (participant, key_type, bucket, count_change, xor)
    select of_participant, of_key_type, c.bucket, c.count_change, c.xor from compared c
    where c.count_change <> 0 or c.xor <> repeat('0', 256)::bit(256)
    returning 1)
  select coalesce(sum(scanned_count), 0),
    dict.hex(coalesce(bit_xor(scanned_xor), repeat('0', 256)::bit(256))),
    dict.hex(coalesce(bit_xor(kept_xor), repeat('0', 256)::bit(256))),
    (select count(*) from mended)
  into recalculate_vsync.entries, recalculate_vsync.vsync, recalculate_vsync.kept_vsync, recalculate_vsync.mended_buckets
  from compared;

  insert into dict.vsync_scans as s (participant, key_type, scanned_at, entries, mended_buckets)
  values (of_participant, of_key_type, workflow.now(), recalculate_vsync.entries, recalculate_vsync.mended_buckets)
  on conflict (participant, key_type) do update set
    scanned_at = excluded.scanned_at, entries = excluded.entries, mended_buckets = excluded.mended_buckets;
end $$;
comment on function dict.recalculate_vsync(text, text) is
  'Computes a VSync from the entries in one snapshot and mends the kept one by appending the difference. kept_vsync is what it was before; mended_buckets tells how many buckets were wrong.';

-- Verifications and reconciliations ------------------------------------------------------------------------------------------

create table dict.verifications (
  run_id      uuid primary key,
  participant text not null,
  key_types   text[] not null,
  started_at  timestamptz not null,
  ended_at    timestamptz not null,
  outcome     text not null check (outcome in ('IN_SYNC', 'OUT_OF_SYNC', 'INCOMPLETE')),
  results     jsonb not null
);
comment on table dict.verifications is
  'One row a verification: per key type OK, NOK or ERROR with the VSync sent. INCOMPLETE: a type could not be verified.';
create index verifications_latest on dict.verifications (participant, started_at desc);

create table dict.sync_verifications (
  id             uuid primary key default workflow.uuidv7(),
  run_id         uuid not null,
  purpose        text not null check (purpose in ('VERIFICATION', 'CONFIRMATION')),
  participant    text not null,
  key_type       text not null,
  vsync          text not null,
  entries        bigint not null,
  asked_at       timestamptz not null,
  snapshot       pg_snapshot not null default pg_current_snapshot(),
  answered_at    timestamptz,
  result         text check (result in ('OK', 'NOK', 'ERROR')),
  dict_id        text,
  correlation_id text,
  error_code     text
);
comment on column dict.sync_verifications.snapshot is 'Of the statement that read the VSync: what an OK proves, and where a replay of the logs may begin.';
comment on table dict.sync_verifications is
  'One row each time a VSync is sent to DICT, written before the call (the intent) and completed by its answer. The auditor''s proof of synchronism.';
create index sync_verifications_run on dict.sync_verifications (run_id);
create index sync_verifications_latest on dict.sync_verifications (participant, key_type, asked_at desc);

create table dict.reconciliations (
  run_id          uuid primary key,
  participant     text not null,
  key_type        text not null,
  started_at      timestamptz not null,
  ended_at        timestamptz,
  outcome         text,
  reason          text,
  rounds          integer not null default 0,
  vsync_before    text not null,
  entries_before  bigint not null,
  vsync_after     text,
  entries_after   bigint,
  dict_only_cids  bigint not null default 0,
  local_only_cids bigint not null default 0,
  keys_added      bigint not null default 0,
  keys_corrected  bigint not null default 0,
  keys_removed    bigint not null default 0,
  keys_in_flight  bigint not null default 0,
  quarantined     bigint not null default 0,
  approved_by     text,
  approved_why    text,
  approved_set    text
);
comment on table dict.reconciliations is 'One row a reconciliation: what it found and did. The auditor''s page.';
create index reconciliations_latest on dict.reconciliations (participant, key_type, started_at desc);

create table dict.rounds (
  run_id          uuid not null references dict.reconciliations (run_id) on delete cascade,
  round           integer not null,
  snapshot        pg_snapshot not null,
  snapshot_at     timestamptz not null,
  settled_before  timestamptz not null,
  way             text check (way in ('EVENT_LOG', 'FILE')),
  way_reason      text,
  set_hash        text,
  dict_only_cids  bigint,
  local_only_cids bigint,
  file_cids       bigint,
  file_duplicates bigint,
  compared_at     timestamptz,
  approved_by     text,
  approved_why    text,
  approved_at     timestamptz,
  primary key (run_id, round)
);
comment on table dict.rounds is
  'One comparison of a reconciliation: the snapshot kept before its file was asked for, and the frozen set it found.';
comment on column dict.rounds.settled_before is 'The snapshot''s time less IN_FLIGHT_MARGIN_SECONDS: what changed later is in flight, though the snapshot sees it.';
comment on column dict.rounds.way is 'How the round found what differs: by replaying both event logs since the last OK, or by DICT''s CID file; way_reason says why.';
comment on column dict.rounds.set_hash is
  'SHA-256 over the lines "D|L <cid>\n" in ascending CID order: what a person approves.';

create function dict.in_flight(changed xid8, at timestamptz, why text, r dict.rounds) returns boolean
language sql volatile as $$
  -- The margin is for what customers do on two sides; a load of the key base happens on one.
  select dict.changed_since(changed, r.snapshot) or (at > r.settled_before and why is distinct from 'imported')
$$;
comment on function dict.in_flight(xid8, timestamptz, text, dict.rounds) is
  'Whether a change was made since the round''s snapshot, or within the margin before it (an import only if since the snapshot).';

create table dict.cid_files (
  id            uuid primary key default workflow.uuidv7(),
  run_id        uuid not null references dict.reconciliations (run_id) on delete cascade,
  round         integer not null,
  asked_at      timestamptz not null,
  dict_id       text,
  status        text,
  bytes         bigint,
  sha256        text,
  creation_time timestamptz,
  refused_code  text
);
comment on table dict.cid_files is
  'Each CID file asked for; the row is the intent, written before the call. DICT gives 40 a day and takes no idempotency key: a crash in the call may cost one more.';
create index cid_files_run on dict.cid_files (run_id);

create table dict.divergences (
  run_id         uuid not null references dict.reconciliations (run_id) on delete cascade,
  round          integer not null,
  cid            bytea not null,
  side           text not null check (side in ('DICT_ONLY', 'LOCAL_ONLY')),
  key            text,
  decision       text not null default 'PENDING' check (decision in (
    'PENDING', 'ADDED', 'CORRECTED', 'REMOVED', 'REGISTERED', 'IN_FLIGHT', 'HELD', 'SUPERSEDED', 'REFUSED', 'QUARANTINED')),
  why            text,
  before         jsonb,
  after          jsonb,
  decided_at     timestamptz,
  correlation_id text,
  -- What DICT said of the CID, kept as it comes so that a crash loses none of it; and how often it failed to say.
  finding        jsonb,
  found_at       timestamptz,
  failures       integer not null default 0,
  primary key (run_id, round, cid)
);
comment on table dict.divergences is
  'One row a CID that only one side has: what was decided, with the entry before and after. Both CIDs of a corrected key have a row.';
create index divergences_pending on dict.divergences (run_id, round, side, cid) where decision = 'PENDING';

-- Notifications ----------------------------------------------------------------------------------------------------------------

create table dict.outbox_sequences (
  participant text not null,
  key_type    text not null,
  last        bigint not null,
  primary key (participant, key_type)
);
comment on table dict.outbox_sequences is 'The last sequence number given per participant and key type.';

create table dict.outbox (
  id           uuid primary key default workflow.uuidv7(),
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
  unique (participant, key_type, sequence)
);
comment on table dict.outbox is
  'Messages to Core-Dict, written in the transaction that caused them; the id is stable, the sequence runs per participant and key type ("ALL" for a summary of several).';
create index outbox_due on dict.outbox (participant, key_type, sequence) where delivered_at is null;

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
  'What Core-Dict reads (the default way out): one row a message, in order of sequence per participant and key type. Each is announced on the channel dict_vsync by NOTIFY with its id, participant, key type, sequence and type.';

create function dict.publish(of_participant text, of_key_type text, of_type text, content jsonb, of_run uuid) returns uuid
language plpgsql security definer set search_path = pg_catalog, dict as $$
declare
  n bigint;
  message uuid;
begin
  -- The counter's row lock keeps the sequence without gaps and in commit order; only runs take it, never key writers.
  insert into dict.outbox_sequences as s values (of_participant, of_key_type, 1)
  on conflict (participant, key_type) do update set last = s.last + 1 returning last into n;
  insert into dict.outbox (participant, key_type, sequence, type, payload, run_id, created_at)
  values (of_participant, of_key_type, n, of_type, content, of_run, workflow.now()) returning id into message;
  perform pg_notify('dict_vsync_outbox', '');
  return message;
end $$;
comment on function dict.publish(text, text, text, jsonb, uuid) is 'Puts a message to Core-Dict into the outbox, in the caller''s transaction; returns its id.';

-- Ways in ------------------------------------------------------------------------------------------------------------------------

create function dict.check_participant(participant text) returns void
language plpgsql immutable set search_path = pg_catalog, workflow as $$
begin
  if participant is null or participant !~ '^[0-9]{8}$' then
    perform workflow.raise_error('DV_ISPB_INVALID', 'A participant is named by its ISPB: 8 digits, leading zeros included.');
  end if;
end $$;

create function dict.check_key_types(asked text[]) returns text[]
language plpgsql immutable set search_path = pg_catalog, dict, workflow as $$
begin
  if asked is null then
    return dict.key_types();
  end if;
  if cardinality(asked) = 0 or not asked <@ dict.key_types() then
    perform workflow.raise_error('DV_KEY_TYPE_UNKNOWN',
      'Unknown key type. Use one or more of ' || array_to_string(dict.key_types(), ', ') || '.');
  end if;
  return array(select distinct t from unnest(asked) t order by 1);
end $$;

create function dict.asked_participants(participant text) returns setof text
language plpgsql stable set search_path = pg_catalog, dict, workflow as $$
begin
  if participant is not null then
    perform dict.check_participant(participant);
    return next participant;
  elsif not exists (select from dict.participants) then
    perform workflow.raise_error('DV_PARTICIPANT_MISSING', 'No participant is configured yet: name one, or start a worker with PARTICIPANT_ISPB set.');
  else
    return query select p.participant from dict.participants p order by 1;
  end if;
end $$;

create function dict.start_verification(participant text default null, key_types text[] default null) returns setof uuid
language plpgsql security definer set search_path = pg_catalog, dict, workflow as $$
declare
  types text[] := dict.check_key_types(key_types);
begin
  return query
  select workflow.start_run('verification', 'verification:' || p || ':' || array_to_string(types, ','),
    jsonb_build_object('participant', p, 'keyTypes', to_jsonb(types)))
  from dict.asked_participants(start_verification.participant) p;
end $$;
comment on function dict.start_verification(text, text[]) is
  'Starts a verification for a participant (null: each configured one) and key types (null: all five); returns the run ids, that of the open run where there is one. In the caller''s transaction. Errors: DV_ISPB_INVALID, DV_KEY_TYPE_UNKNOWN, DV_PARTICIPANT_MISSING.';

create function dict.start_reconciliation(participant text default null, key_types text[] default null) returns setof uuid
language plpgsql security definer set search_path = pg_catalog, dict, workflow as $$
declare
  types text[] := dict.check_key_types(key_types);
begin
  return query
  select workflow.start_run('reconciliation', 'reconciliation:' || p || ':' || t,
    jsonb_build_object('participant', p, 'keyType', t))
  from dict.asked_participants(start_reconciliation.participant) p, unnest(types) t;
end $$;
comment on function dict.start_reconciliation(text, text[]) is
  'Starts a reconciliation for each participant (null: each configured one) and key type (null: all five); returns the run ids, that of the open run where there is one. In the caller''s transaction. Errors: DV_ISPB_INVALID, DV_KEY_TYPE_UNKNOWN, DV_PARTICIPANT_MISSING.';

create function dict.decide_reconciliation(run uuid, signal text, by_whom text, reason text, set_hash text) returns void
language plpgsql security definer set search_path = pg_catalog, dict, workflow as $$
declare
  frozen text;
begin
  if coalesce(btrim(by_whom), '') = '' or coalesce(btrim(reason), '') = '' then
    perform workflow.raise_error('DV_DECISION_UNSIGNED', 'Say who decides and why: both are kept for the auditor.');
  end if;
  -- The lock first, so that the wait and its set stay what is looked at here.
  perform from workflow.runs where id = run for update;
  if not found then
    perform workflow.raise_error('DV_RUN_NOT_FOUND', format('There is no run %s.', run));
  end if;
  if not workflow.waits_for(run, signal) then
    perform workflow.raise_error('DV_RUN_NOT_WAITING', format('Run %s does not wait for an approval. `dict-vsync describe` shows what it does.', run));
  end if;
  select r.set_hash into frozen from dict.rounds r where r.run_id = run order by round desc limit 1;
  if set_hash is not null and lower(set_hash) is distinct from frozen then
    perform workflow.raise_error('DV_SET_MISMATCH', format('The frozen set of run %s is %s, not the one named. Look at it again before deciding.', run, frozen));
  end if;
  perform workflow.signal(run, signal, jsonb_build_object('setHash', frozen), by_whom, reason);
end $$;

create function dict.approve_reconciliation(run uuid, by_whom text, reason text, set_hash text default null) returns void
language sql security definer set search_path = pg_catalog, dict as $$
  select dict.decide_reconciliation(run, 'approve', by_whom, reason, set_hash)
$$;
comment on function dict.approve_reconciliation(uuid, text, text, text) is
  'Approves the frozen set a reconciliation waits with (set_hash: refuse if it is another one). Errors: DV_RUN_NOT_FOUND, DV_RUN_NOT_WAITING, DV_SET_MISMATCH, DV_DECISION_UNSIGNED.';

create function dict.reject_reconciliation(run uuid, by_whom text, reason text, set_hash text default null) returns void
language sql security definer set search_path = pg_catalog, dict as $$
  select dict.decide_reconciliation(run, 'reject', by_whom, reason, set_hash)
$$;
comment on function dict.reject_reconciliation(uuid, text, text, text) is
  'Rejects the frozen set a reconciliation waits with: nothing is applied and the run ends REJECTED. Errors: as dict.approve_reconciliation.';

-- Reading ------------------------------------------------------------------------------------------------------------------------

create view dict.known_participants as
-- The buckets are 20,480 rows a participant: stepping from one to the next through the primary key reads one each.
with recursive with_keys (participant) as (
  select min(participant) from dict.vsync_buckets
  union all
  select (select min(b.participant) from dict.vsync_buckets b where b.participant > w.participant)
  from with_keys w where w.participant is not null)
select participant from dict.participants
union
select participant from with_keys where participant is not null
union
select participant from dict.vsync_deltas;
comment on view dict.known_participants is 'The configured participants, and those that ever had keys here.';

create view dict.vsyncs as
select p.participant, t.key_type, v.entries, v.vsync, s.scanned_at, s.mended_buckets
from dict.known_participants p
cross join unnest(dict.key_types()) as t (key_type)
cross join lateral dict.vsync(p.participant, t.key_type) v
left join dict.vsync_scans s on s.participant = p.participant and s.key_type = t.key_type;
comment on view dict.vsyncs is 'The five VSyncs of each participant, the number of entries, and their last full scan.';

create view dict.sync_status as
select p.participant, t.key_type, l.result as last_result, l.answered_at as last_answered_at, ok.answered_at as last_ok_at,
  workflow.now() - ok.answered_at as age_of_last_ok, r.run_id as open_reconciliation
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
  where w.workflow_key = 'reconciliation:' || p.participant || ':' || t.key_type and w.closed_at is null) r on true;
comment on view dict.sync_status is
  'Per participant and key type: DICT''s last answer, the last OK and its age (the regulator allows 36 hours), and the open reconciliation.';
