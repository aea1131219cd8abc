create or replace view dict.cids as
  select participant, key_type, key, cid, request_id, since as came_at, null::timestamptz as left_at, null::text as left_why
  from dict.entries where removed_at is null
  union all
  select participant, key_type, key, cid, request_id, came_at, left_at, left_why from dict.cid_log;
comment on view dict.cids is 'Every CID that ever was in the key base, with its key; left_at is null for those present.';
