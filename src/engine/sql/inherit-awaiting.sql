create or replace function workflow.inherit_awaiting() returns trigger
language plpgsql as $$
begin
  new.awaited_by := (select awaited_by from workflow.runs where id = new.continued_from);
  return new;
end $$;
comment on function workflow.inherit_awaiting() is 'A run that takes over from another is awaited in its place.';
