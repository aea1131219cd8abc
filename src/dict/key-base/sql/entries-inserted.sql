-- All three run as the owner, because a role that may write keys need not be able to write these tables.
create or replace function dict.entries_inserted() returns trigger
language plpgsql security definer as $$
begin
  insert into dict.vsync_deltas (participant, key_type, bucket, count_change, xor)
  select participant, key_type, dict.bucket(cid), count(*), bit_xor(dict.bits(cid))
  from new_rows where removed_at is null group by 1, 2, 3;
  return null;
end $$;
