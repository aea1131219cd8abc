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
declare
  c record;
begin
  select o.participant, o.key_type, o.key, o.cid, o.request_id, o.since, o.came_xid, o.removed_at is null as was_here,
    n.cid as new_cid, n.since as new_since, n.changed_why, n.removed_at is null as is_here,
    (select count(*) from (select from old_rows limit 2) two) = 1
      and (n.participant, n.key_type, n.key) = (o.participant, o.key_type, o.key) as alone
  into c from old_rows o, new_rows n limit 1;

  if not found then
    return null;
  elsif c.alone then
    if c.cid <> c.new_cid or c.was_here <> c.is_here then
      insert into dict.vsync_deltas (participant, key_type, bucket, count_change, xor)
      select c.participant, c.key_type, dict.bucket(cid), change, dict.bits(cid)
      from (values (-1, c.cid, c.was_here), (1, c.new_cid, c.is_here)) sides (change, cid, here) where here;
      if c.was_here then
        insert into dict.cid_log (participant, key_type, key, cid, request_id, came_at, came_xid, left_at, left_why)
        values (c.participant, c.key_type, c.key, c.cid, c.request_id, c.since, c.came_xid,
          greatest(c.since, case when c.is_here then c.new_since else clock_timestamp() end),
          coalesce(c.changed_why, case when c.is_here then 'updated' else 'removed' end));
      end if;
    end if;
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
