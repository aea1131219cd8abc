create or replace function dict.fold_vsync_deltas(most integer default 20000) returns integer
language plpgsql security definer as $$
declare
  folded integer;
begin
  -- Only one runs at a time: two would lock the same buckets in different orders.
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
  'Folds up to `most` deltas, and as many changes of single keys, into their buckets and the log. Returns how many. Workers call it all the time; it is safe at any moment.';
