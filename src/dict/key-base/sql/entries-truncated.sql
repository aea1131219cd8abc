-- Records a TRUNCATE of dict.entries in the VSyncs and in the log of CIDs. Runs as the owner, as dict.entries_deleted
-- does.
create or replace function dict.entries_truncated() returns trigger
language plpgsql security definer as $$
begin
  -- TRUNCATE has no transition table, but a BEFORE trigger still sees the rows, and the table is locked exclusively.
  insert into dict.vsync_deltas (participant, key_type, bucket, count_change, xor)
  select participant, key_type, dict.bucket(cid), -count(*), bit_xor(dict.bits(cid))
  from dict.entries where removed_at is null group by 1, 2, 3;

  insert into dict.cid_history (participant, key_type, key, cid, request_id, came_at, came_xid, left_why)
  select participant, key_type, key, cid, request_id, since, came_xid, 'truncated' from dict.entries where removed_at is null;
  return null;
end $$;
