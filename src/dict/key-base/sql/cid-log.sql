create or replace view dict.cid_log as
  select participant, key_type, key, cid, request_id, came_at, came_xid, left_at, left_why, left_xid, id from dict.cid_history
  union all
  select participant, key_type, key, cid, request_id, came_at, came_xid, left_at, left_why, left_xid, id from dict.cid_changes
  where cid is not null;
comment on view dict.cid_log is
  'Each CID that left the key base, with its key and when it was added and removed (Manual §9: keep every CID ever generated). See dict.cids.';
