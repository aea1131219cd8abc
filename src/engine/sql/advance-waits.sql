-- Advances a run through states that need no activity. A terminal state closes the run. A wait state is left when its
-- signal has been received, its children have ended or its deadline has passed. Returns the run's new row.
create or replace function workflow.advance_waits(r workflow.runs, s workflow.states, continue_with jsonb default null)
returns workflow.runs
language plpgsql as $$
declare
  n timestamptz := workflow.now();
  sig workflow.signals;
  took text;
begin
  if s.kind = 'terminal' then
    -- A cancelled run is not continued.
    if s.closes_as = 'CONTINUED' and r.cancel_requested_at is not null then
      select * into r from workflow.runs where id = r.id;
      perform workflow.close_run(r, 'CANCELLED');
    else
      perform workflow.close_run(r, s.closes_as);
      if s.closes_as = 'CONTINUED' then
        perform workflow.continue_run(r, continue_with);
      end if;
    end if;
    select * into r from workflow.runs where id = r.id;
    return r;
  end if;
  if s.kind <> 'wait' then
    return r;
  end if;

  select * into sig from workflow.signals
  where run_id = r.id and consumed_at is null and name = any (s.signals)
  order by id limit 1 for update;
  if found then
    update workflow.signals set consumed_at = n where id = sig.id;
    update workflow.runs
    set context = context || jsonb_build_object('signal', jsonb_strip_nulls(jsonb_build_object(
      'name', sig.name, 'payload', sig.payload, 'by', sig.sent_by, 'reason', sig.reason, 'at', sig.sent_at)))
    where id = r.id returning * into r;
    took := sig.name;
  elsif s.awaits_children and not workflow.has_children_open(r) then
    took := 'children_closed';
  elsif r.deadline <= n then
    took := 'timeout';
  else
    if r.status <> 'WAITING' then
      perform workflow.log(r, 'WAITING', n);
    end if;
    update workflow.runs set status = 'WAITING', wake_at = deadline, updated_at = n,
      claimed_by = null, claimed_at = null
    where id = r.id returning * into r;
    return r;
  end if;

  perform workflow.log(r, 'WOKEN', n, took, workflow.next_state(r, took));
  return workflow.enter_state(r, workflow.next_state(r, took), continue_with);
end $$;
