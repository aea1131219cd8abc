create or replace function dict.recalculate_vsync(of_participant text, of_key_type text,
  out entries bigint, out vsync text, out kept_vsync text, out repaired_buckets integer)
language plpgsql security definer as $$
begin
  -- Two simultaneous calls would both append the difference, and so cancel each other.
  perform pg_advisory_xact_lock(hashtext('dict-vsync recalculate'), hashtext(of_participant || of_key_type));
  -- One statement is one snapshot of the entries, the buckets and the deltas. The difference is appended and the
  -- buckets
  -- are not overwritten, because transactions that commit meanwhile append their own deltas.
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
  repaired as (
    insert into dict.vsync_deltas (participant, key_type, bucket, count_change, xor)
    select of_participant, of_key_type, c.bucket, c.count_change, c.xor from compared c
    where c.count_change <> 0 or c.xor <> repeat('0', 256)::bit(256)
    returning 1)
  select coalesce(sum(scanned_count), 0),
    dict.hex(coalesce(bit_xor(scanned_xor), repeat('0', 256)::bit(256))),
    dict.hex(coalesce(bit_xor(kept_xor), repeat('0', 256)::bit(256))),
    (select count(*) from repaired)
  into recalculate_vsync.entries, recalculate_vsync.vsync, recalculate_vsync.kept_vsync, recalculate_vsync.repaired_buckets
  from compared;

  insert into dict.vsync_scans as s (participant, key_type, scanned_at, entries, repaired_buckets)
  values (of_participant, of_key_type, workflow.now(), recalculate_vsync.entries, recalculate_vsync.repaired_buckets)
  on conflict (participant, key_type) do update set
    scanned_at = excluded.scanned_at, entries = excluded.entries, repaired_buckets = excluded.repaired_buckets;
end $$;
comment on function dict.recalculate_vsync(text, text) is
  'Computes a VSync from the entries in one snapshot and repairs the kept one by appending the difference. kept_vsync is its value before the repair; repaired_buckets is the number of buckets that were wrong.';
