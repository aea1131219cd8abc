-- Changing one key, which is what customers do, cost a tenth of a millisecond of triggers: twice joining and grouping one
-- row with itself. What one row leaves behind is the same as before, and so is all that many rows do.

create or replace function dict.touch_entry() returns trigger
language plpgsql as $$
declare
  said_why boolean := new.changed_xid is null;
begin
  -- Column by column, not "new is distinct from old": before the row is written, its generated cid is null.
  -- What is part of the CID comes first: it is what most changes change, and then the rest need not be looked at.
  if (new.participant, new.key_type, new.key, new.request_id, new.tax_id_number, new.name, coalesce(new.trade_name, ''),
      coalesce(new.branch, ''), new.account_number, new.account_type, new.removed_at is null) is distinct from
     (old.participant, old.key_type, old.key, old.request_id, old.tax_id_number, old.name, coalesce(old.trade_name, ''),
      coalesce(old.branch, ''), old.account_number, old.account_type, old.removed_at is null) then
    new.came_xid := pg_current_xact_id();
    if new.since = old.since then
      new.since := clock_timestamp();
    end if;
  else
    new.came_xid := old.came_xid;
    if (new.owner_type, new.trade_name, new.branch, new.opening_date, new.removed_at) is not distinct from
       (old.owner_type, old.trade_name, old.branch, old.opening_date, old.removed_at) then
      -- What changes nothing is no change, and has no reason.
      new.changed_xid := old.changed_xid;
      new.changed_why := old.changed_why;
      return new;
    end if;
  end if;
  new.changed_xid := pg_current_xact_id();
  -- A reason belongs to one change: the next writer's silence doesn't inherit it.
  if not said_why then
    new.changed_why := null;
  end if;
  return new;
end $$;

create or replace function dict.entries_updated() returns trigger
-- The session plans the joins below once, for as many rows as its first statement changed: by nested loops a million rows
-- would then take hours.
language plpgsql security definer set search_path = pg_catalog, dict set enable_nestloop = off as $$
begin
  -- One row that keeps its key: in a single statement, without grouping and joining. Of several rows it does nothing, and
  -- where it writes nothing the rest finds nothing to write either.
  with change as materialized (
    select o.participant, o.key_type, o.key, o.cid, o.request_id, o.since, o.came_xid, o.removed_at is null as was_here,
      n.cid as new_cid, n.since as new_since, n.changed_why, n.removed_at is null as is_here
    from old_rows o, new_rows n
    where (select count(*) from (select from old_rows limit 2) two) = 1
      and (n.participant, n.key_type, n.key) = (o.participant, o.key_type, o.key)
      and (n.cid <> o.cid or (n.removed_at is null) <> (o.removed_at is null))),
  logged as (
    insert into dict.cid_log (participant, key_type, key, cid, request_id, came_at, came_xid, left_at, left_why)
    select participant, key_type, key, cid, request_id, since, came_xid,
      greatest(since, case when is_here then new_since else clock_timestamp() end),
      coalesce(changed_why, case when is_here then 'updated' else 'removed' end)
    from change where was_here)
  insert into dict.vsync_deltas (participant, key_type, bucket, count_change, xor)
  select participant, key_type, dict.bucket(cid), -1, dict.bits(cid) from change where was_here
  union all
  select participant, key_type, dict.bucket(new_cid), 1, dict.bits(new_cid) from change where is_here;
  if found then
    return null;
  end if;

  insert into dict.vsync_deltas (participant, key_type, bucket, count_change, xor)
  select participant, key_type, dict.bucket(cid), sum(change), bit_xor(dict.bits(cid))
  from (select participant, key_type, cid, -1 as change from old_rows where removed_at is null
        union all
        select participant, key_type, cid, 1 from new_rows where removed_at is null) both_sides
  group by 1, 2, 3
  having sum(change) <> 0 or bit_xor(dict.bits(cid)) <> repeat('0', 256)::bit(256);

  -- A CID left when no new row of the statement holds it for the same key.
  -- It leaves the moment its successor comes.
  insert into dict.cid_log (participant, key_type, key, cid, request_id, came_at, came_xid, left_at, left_why)
  select o.participant, o.key_type, o.key, o.cid, o.request_id, o.since, o.came_xid,
    greatest(o.since, coalesce(case when n.removed_at is null then n.since end, clock_timestamp())),
    coalesce(n.changed_why, case when n.removed_at is null then 'updated' else 'removed' end)
  from old_rows o
  left join new_rows n using (participant, key_type, key)
  where o.removed_at is null and (n.cid is distinct from o.cid or n.removed_at is not null);
  return null;
end $$;
