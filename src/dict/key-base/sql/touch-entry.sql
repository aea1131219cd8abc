-- A BEFORE UPDATE trigger on dict.entries: records when, why and by which transaction a row and its CID last changed.
create or replace function dict.touch_entry() returns trigger
language plpgsql as $$
declare
  reason_given boolean := new.changed_xid is null;
begin
  -- Compares column by column, not "new is distinct from old", because the generated cid of new is null until the row
  -- is
  -- written. The columns of the CID come first: most changes change one of them, and then the rest is not compared.
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
      -- An update that changes nothing is not a change and has no reason.
      new.changed_xid := old.changed_xid;
      new.changed_why := old.changed_why;
      return new;
    end if;
  end if;
  new.changed_xid := pg_current_xact_id();
  -- A reason belongs to one change: a later writer that gives no reason does not inherit it.
  if not reason_given then
    new.changed_why := null;
  end if;
  return new;
end $$;
