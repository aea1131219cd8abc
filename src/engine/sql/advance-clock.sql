create or replace function workflow.advance_clock(by_how_much interval) returns void
language plpgsql as $$
declare
  r workflow.runs;
begin
  update workflow.clock set offset_by = offset_by + by_how_much;
  for r in select * from workflow.runs where closed_at is null and claimed_by is null and wake_at is not null loop
    perform workflow.add_job(r.id, workflow.job_task(r), r.wake_at);
  end loop;
end $$;
comment on function workflow.advance_clock(interval) is 'For tests: moves workflow.now() forward, and the timers of all open runs with it.';
