-- Closes a locked run with its final status. Treats its children by their parent close policy, and wakes a parent that
-- waits for children.
create or replace function workflow.close_run(r workflow.runs, final_status text, final_error jsonb default null) returns void
language plpgsql as $$
declare
  n timestamptz := workflow.now();
  child workflow.runs;
  parent workflow.runs;
begin
  -- Sets the state too: a terminal state is entered only by closing the run, never by an open run.
  update workflow.runs set
    state = r.state, attempt = r.attempt, status = final_status, closed_at = n, updated_at = n, wake_at = null, deadline = null,
    claimed_by = null, claimed_at = null, cancel_requested_at = null, error = coalesce(final_error, r.error),
    failed_state = case
      when final_status not in ('FAILED', 'POISONED') then null
      -- From this state the run could still have ended well. So it failed here: it had dealt with any earlier failure.
      when r.failed_state is null or workflow.can_end_well(r.machine, r.machine_version, r.state) then r.state
      else r.failed_state end
  where id = r.id;
  perform workflow.log(r, 'CLOSED', n, final_status, error => final_error);
  if final_status in ('FAILED', 'POISONED') then
    insert into workflow.failures_to_log (run_id, status, error) values (r.id, final_status, coalesce(final_error, r.error));
  end if;

  for child in select * from workflow.runs
               where parent_id = r.id and closed_at is null and parent_close_policy <> 'ABANDON'
               order by id for update loop
    if child.parent_close_policy = 'TERMINATE' then
      perform workflow.close_run(child, 'TERMINATED');
    else
      perform workflow.cancel_run(child, 'parent ' || r.id);
    end if;
  end loop;

  -- A job wakes the parent, and this transaction does not touch the parent's row: the parent may be closing right now
  -- and waiting for our lock. The job has its own key and is added whatever state the parent is in: the parent may be
  -- entering its wait, or moving its own job to its deadline, in a transaction that does not see this close.
  select p.* into parent from workflow.runs p
  where p.id = r.parent_id and p.closed_at is null and exists (
    select from workflow.states s
    where s.machine = p.machine and s.version = p.machine_version and s.awaits_children);
  if found then
    perform workflow.add_job(parent.id, 'advance_run', n, 'children:');
  end if;
end $$;
