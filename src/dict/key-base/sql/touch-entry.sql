-- A BEFORE UPDATE trigger on dict.entries: it keeps when, why and by which transaction a row and its CID last changed.
create or replace function dict.touch_entry() returns trigger
language plpgsql as $$
declare
  reason_given boolean := new.changed_xid is null;
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
  if not reason_given then
    new.changed_why := null;
  end if;
  return new;
end $$;
