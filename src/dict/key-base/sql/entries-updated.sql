-- Records an UPDATE on dict.entries in the VSyncs and in the log of CIDs. Runs as the owner, as dict.entries_deleted
-- does.
create or replace function dict.entries_updated() returns trigger
language plpgsql security definer as $$
declare
  before text;
begin
  -- A short path for one row that keeps its key. It inserts nothing for several rows. If it inserts nothing for one
  -- row,
  -- the rest of the function inserts nothing either.
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

  -- The session plans the joins below once, for the number of rows that its first statement changed; with nested loops
  -- a
  -- million rows would then take hours. If an error occurs, its rollback restores this setting too.
  before := current_setting('enable_nestloop');
  perform set_config('enable_nestloop', 'off', true);

  insert into dict.vsync_deltas (participant, key_type, bucket, count_change, xor)
  select participant, key_type, dict.bucket(cid), sum(change), bit_xor(dict.bits(cid))
  from (select participant, key_type, cid, -1 as change from old_rows where removed_at is null
        union all
        select participant, key_type, cid, 1 from new_rows where removed_at is null) both_sides
  group by 1, 2, 3
  having sum(change) <> 0 or bit_xor(dict.bits(cid)) <> repeat('0', 256)::bit(256);

  -- A CID was removed if no new row of the statement has it for the same key.
  -- Its end is the moment when its successor was added.
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
