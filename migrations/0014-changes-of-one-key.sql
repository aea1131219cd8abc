-- Changing or deleting one key, which is what customers do, left two rows behind in one table and one in another with four
-- indexes: most of what the triggers cost. Now a single row is appended, to a table with one, and the fold, which
-- ran all along, brings it to its bucket and to the log, many at a time. Statements of many rows do as before.

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
  id          bigint not null default nextval('dict.cid_log_id_seq')
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_insert_threshold = -1);
-- The only index: whether a CID was ever here is asked of each divergence.
create index cid_changes_cid on dict.cid_changes (cid) where cid is not null;
comment on table dict.cid_changes is
  'What statements that changed one key did: the CID that left (null when none did) and the CID that came (likewise). Only ever appended to by writers. Folded by dict.fold_vsync_deltas; till then part of dict.vsync_parts and dict.cid_log.';

create or replace view dict.vsync_parts as
  select participant, key_type, bucket, count, xor from dict.vsync_buckets
  union all
  select participant, key_type, bucket, count_change, xor from dict.vsync_deltas
  union all
  select participant, key_type, dict.bucket(cid), -1, dict.bits(cid)::bit(256) from dict.cid_changes where cid is not null
  union all
  select participant, key_type, dict.bucket(new_cid), 1, dict.bits(new_cid)::bit(256) from dict.cid_changes where new_cid is not null;
comment on view dict.vsync_parts is
  'Buckets, and the deltas and changes not yet folded: one statement over it is one snapshot of all.';

create or replace view dict.known_participants as
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
select participant from dict.vsync_deltas
union
select participant from dict.cid_changes;

-- The views above wait for whoever reads them, such as a comparison under way; what follows must not, and must not let a
-- writer in between: the triggers' old bodies would find the log renamed.
lock table dict.entries in exclusive mode;
-- The log under its name is what it was: each CID that left, folded or not.
alter table dict.cid_log rename to cid_history;
alter index dict.cid_log_cid rename to cid_history_cid;
alter index dict.cid_log_key rename to cid_history_key;
alter index dict.cid_log_left rename to cid_history_left;
alter table dict.cid_history rename constraint cid_log_pkey to cid_history_pkey;
comment on table dict.cid_history is 'The folded part of dict.cid_log, which reads it together with what is not folded yet.';

create view dict.cid_log as
  select participant, key_type, key, cid, request_id, came_at, came_xid, left_at, left_why, left_xid, id from dict.cid_history
  union all
  select participant, key_type, key, cid, request_id, came_at, came_xid, left_at, left_why, left_xid, id from dict.cid_changes
  where cid is not null;
comment on view dict.cid_log is
  'Each CID that left the key base, with its key and when it came and went (Manual §9: keep every CID ever generated). See dict.cids.';

-- What is new belongs to whom the log belongs, whoever migrates; and whoever might read the tables may read it.
do $$
declare
  reader record;
begin
  execute format('alter table dict.cid_changes owner to %1$I; alter view dict.cid_log owner to %1$I',
    (select pg_get_userbyid(relowner) from pg_class where oid = 'dict.cid_history'::regclass));
  for reader in
    select of_table.name, column_name, case when a.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end as who,
      case when a.is_grantable then ' with grant option' else '' end as more
    from (values ('dict.cid_history'::regclass, 'dict.cid_log'), ('dict.vsync_deltas'::regclass, 'dict.cid_changes')) as of_table (old, name)
    join pg_class c on c.oid = of_table.old
    cross join lateral (
      select null::name as column_name, c.relacl as acl
      union all
      select t.attname, t.attacl from pg_attribute t
      where t.attrelid = c.oid and t.attacl is not null and of_table.name = 'dict.cid_log') rights
    cross join aclexplode(rights.acl) a
    where a.privilege_type = 'SELECT' and a.grantee <> c.relowner
  loop
    execute format('grant select %s on %s to %s%s', coalesce('(' || quote_ident(reader.column_name) || ')', ''), reader.name,
      reader.who, reader.more);
  end loop;
end $$;

create or replace view dict.cids as
  select participant, key_type, key, cid, request_id, since as came_at, null::timestamptz as left_at, null::text as left_why
  from dict.entries where removed_at is null
  union all
  select participant, key_type, key, cid, request_id, came_at, left_at, left_why from dict.cid_log;

create or replace function dict.entries_updated() returns trigger
language plpgsql security definer set search_path = pg_catalog, dict, pg_temp as $$
declare
  before text;
begin
  -- One row that keeps its key. Of several rows it writes nothing; where it writes nothing the rest finds nothing to write
  -- either.
  insert into dict.cid_changes (participant, key_type, key, cid, request_id, came_at, came_xid, left_at, left_why, new_cid)
  select o.participant, o.key_type, o.key, l.cid, o.request_id, o.since, o.came_xid,
    greatest(o.since, case when n.removed_at is null then n.since else clock_timestamp() end),
    coalesce(n.changed_why, case when n.removed_at is null then 'updated' else 'removed' end), l.new_cid
  from old_rows o, new_rows n, lateral (
    select case when o.removed_at is null then o.cid end as cid, case when n.removed_at is null then n.cid end as new_cid) l
  where not exists (select from old_rows offset 1)
    and n.participant = o.participant and n.key_type = o.key_type and n.key = o.key
    and l.cid is distinct from l.new_cid;
  if found then
    return null;
  end if;

  -- The session plans the joins below once, for as many rows as its first statement changed: by nested loops a million rows
  -- would then take hours. An error puts the setting back as well, with all else.
  before := current_setting('enable_nestloop');
  perform set_config('enable_nestloop', 'off', true);

  insert into dict.vsync_deltas (participant, key_type, bucket, count_change, xor)
  select participant, key_type, dict.bucket(cid), sum(change), bit_xor(dict.bits(cid))
  from (select participant, key_type, cid, -1 as change from old_rows where removed_at is null
        union all
        select participant, key_type, cid, 1 from new_rows where removed_at is null) both_sides
  group by 1, 2, 3
  having sum(change) <> 0 or bit_xor(dict.bits(cid)) <> repeat('0', 256)::bit(256);

  -- A CID left when no new row of the statement holds it for the same key.
  -- It leaves the moment its successor comes.
  insert into dict.cid_history (participant, key_type, key, cid, request_id, came_at, came_xid, left_at, left_why)
  select o.participant, o.key_type, o.key, o.cid, o.request_id, o.since, o.came_xid,
    greatest(o.since, coalesce(case when n.removed_at is null then n.since end, clock_timestamp())),
    coalesce(n.changed_why, case when n.removed_at is null then 'updated' else 'removed' end)
  from old_rows o
  left join new_rows n using (participant, key_type, key)
  where o.removed_at is null and (n.cid is distinct from o.cid or n.removed_at is not null);

  perform set_config('enable_nestloop', before, true);
  return null;
end $$;

create or replace function dict.entries_deleted() returns trigger
language plpgsql security definer set search_path = pg_catalog, dict, pg_temp as $$
begin
  insert into dict.cid_changes (participant, key_type, key, cid, request_id, came_at, came_xid, left_at, left_why)
  select participant, key_type, key, cid, request_id, since, came_xid, clock_timestamp(), 'deleted' from old_rows
  where not exists (select from old_rows offset 1) and removed_at is null;
  if found then
    return null;
  end if;

  insert into dict.vsync_deltas (participant, key_type, bucket, count_change, xor)
  select participant, key_type, dict.bucket(cid), -count(*), bit_xor(dict.bits(cid))
  from old_rows where removed_at is null group by 1, 2, 3;

  insert into dict.cid_history (participant, key_type, key, cid, request_id, came_at, came_xid, left_why)
  select participant, key_type, key, cid, request_id, since, came_xid, 'deleted' from old_rows where removed_at is null;
  return null;
end $$;

create or replace function dict.entries_truncated() returns trigger
language plpgsql security definer set search_path = pg_catalog, dict, pg_temp as $$
begin
  -- TRUNCATE has no transition table, but BEFORE it the rows are still there, and it holds the table's exclusive lock.
  insert into dict.vsync_deltas (participant, key_type, bucket, count_change, xor)
  select participant, key_type, dict.bucket(cid), -count(*), bit_xor(dict.bits(cid))
  from dict.entries where removed_at is null group by 1, 2, 3;

  insert into dict.cid_history (participant, key_type, key, cid, request_id, came_at, came_xid, left_why)
  select participant, key_type, key, cid, request_id, since, came_xid, 'truncated' from dict.entries where removed_at is null;
  return null;
end $$;

create or replace function dict.fold_vsync_deltas(most integer default 20000) returns integer
language plpgsql security definer set search_path = pg_catalog, dict, pg_temp as $$
declare
  folded integer;
begin
  -- One at a time: two would lock the same buckets in different orders.
  if not pg_try_advisory_xact_lock(hashtext('dict-vsync fold')) then
    return 0;
  end if;
  with deltas as (
    delete from dict.vsync_deltas where ctid = any (array(select ctid from dict.vsync_deltas limit most))
    returning participant, key_type, bucket, count_change, xor),
  changes as (
    delete from dict.cid_changes where ctid = any (array(select ctid from dict.cid_changes limit most))
    returning *),
  logged as (
    insert into dict.cid_history
      (participant, key_type, key, cid, request_id, came_at, came_xid, left_at, left_why, left_xid, id)
    overriding system value
    select participant, key_type, key, cid, request_id, came_at, came_xid, left_at, left_why, left_xid, id from changes
    where cid is not null),
  taken as (
    select participant, key_type, bucket, count_change, xor from deltas
    union all
    select participant, key_type, dict.bucket(cid), -1, dict.bits(cid) from changes where cid is not null
    union all
    select participant, key_type, dict.bucket(new_cid), 1, dict.bits(new_cid) from changes where new_cid is not null),
  summed as (
    select participant, key_type, bucket, sum(count_change) as change, bit_xor(xor) as xor
    from taken group by 1, 2, 3),
  written as (
    insert into dict.vsync_buckets as b (participant, key_type, bucket, count, xor)
    select participant, key_type, bucket, change, xor from summed
    on conflict (participant, key_type, bucket) do update set count = b.count + excluded.count, xor = b.xor # excluded.xor
    where excluded.count <> 0 or excluded.xor <> repeat('0', 256)::bit(256))
  select (select count(*) from deltas) + (select count(*) from changes) into folded;
  return folded;
end $$;
comment on function dict.fold_vsync_deltas(integer) is
  'Folds up to `most` deltas, and as many changes of one key, into their buckets and the log; returns how many. Called by workers all the time; safe at any moment.';
