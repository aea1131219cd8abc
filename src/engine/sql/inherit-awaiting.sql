create or replace function workflow.inherit_awaiting() returns trigger
language plpgsql as $$
begin
  new.awaited_by := (select awaited_by from workflow.runs where id = new.continued_from);
  return new;
end $$;
comment on function workflow.inherit_awaiting() is 'A trigger: runs that awaited a run which closed CONTINUED await its successor instead.';
