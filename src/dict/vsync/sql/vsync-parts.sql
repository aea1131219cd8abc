create or replace view dict.vsync_parts as
  select participant, key_type, bucket, count, xor from dict.vsync_buckets
  union all
  select participant, key_type, bucket, count_change, xor from dict.vsync_deltas
  union all
  select participant, key_type, dict.bucket(cid), -1, dict.bits(cid)::bit(256) from dict.cid_changes where cid is not null
  union all
  select participant, key_type, dict.bucket(new_cid), 1, dict.bits(new_cid)::bit(256) from dict.cid_changes where new_cid is not null;
comment on view dict.vsync_parts is
  'The buckets, and the deltas and changes that are not folded yet. One statement on this view sees one snapshot of them all.';
