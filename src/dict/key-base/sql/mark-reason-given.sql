-- A BEFORE UPDATE OF changed_why trigger: marks for dict.touch_entry that the statement gives a reason.
create or replace function dict.mark_reason_given() returns trigger
language plpgsql as $$
begin
  -- touch_entry fires next (triggers fire in the order of their names). The mark distinguishes a reason that was given
  -- again from an old one.
  new.changed_xid := null;
  return new;
end $$;
