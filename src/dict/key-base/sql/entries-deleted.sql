-- Records a DELETE on dict.entries in the VSyncs and in the log of CIDs. Runs as the owner, because a role that may
-- write
-- keys need not be able to write those tables.
create or replace function dict.entries_deleted() returns trigger
language plpgsql security definer as $$
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
