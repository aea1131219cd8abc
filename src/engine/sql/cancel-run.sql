-- Cancels an open, locked run: immediately when nobody works on it, else at the end of its step.
create or replace function workflow.cancel_run(r workflow.runs, by_whom text, why text default null) returns void
language plpgsql as $$
declare
  n timestamptz := workflow.now();
begin
  perform workflow.log(r, 'CANCEL_REQUESTED', n, detail => jsonb_strip_nulls(jsonb_build_object('by', by_whom, 'reason', why)));
  if r.claimed_by is null then
    perform workflow.close_run(r, 'CANCELLED');
  else
    -- The worker that holds it hears of it with its next heartbeat and closes it at the step's end.
    update workflow.runs set cancel_requested_at = n, updated_at = n where id = r.id;
  end if;
end $$;
