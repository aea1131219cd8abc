create or replace function workflow.wake_awaiting() returns trigger
language plpgsql security definer as $$
declare
  p workflow.runs;
begin
  -- In the same manner as workflow.close_run wakes the parent.
  for p in select * from workflow.runs where id = any (new.awaited_by) and closed_at is null order by id loop
    perform workflow.add_job(p.id, 'advance_run', workflow.now(), 'children:');
  end loop;
  return null;
end $$;
comment on function workflow.wake_awaiting() is 'A trigger: when a run closes, wakes the runs that wait for it without owning it.';
