-- A BEFORE UPDATE OF changed_why trigger: it marks that the statement gives a reason, for dict.touch_entry.
create or replace function dict.mark_reason_given() returns trigger
language plpgsql as $$
begin
  -- Tells touch_entry, which fires next (triggers go by name), a reason said again from one merely left over.
  new.changed_xid := null;
  return new;
end $$;
