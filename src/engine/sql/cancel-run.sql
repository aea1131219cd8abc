-- Cancels an open, locked run: immediately if no worker has claimed it, otherwise at the end of its step.
create or replace function workflow.cancel_run(r workflow.runs, by_whom text, why text default null) returns void
language plpgsql as $$
declare
  n timestamptz := workflow.now();
begin
  perform workflow.log(r, 'CANCEL_REQUESTED', n, detail => jsonb_strip_nulls(jsonb_build_object('by', by_whom, 'reason', why)));
  if r.claimed_by is null then
    perform workflow.close_run(r, 'CANCELLED');
  else
    -- The worker that claimed the run learns of the request with its next heartbeat. The run closes when its step ends.
    update workflow.runs set cancel_requested_at = n, updated_at = n where id = r.id;
  end if;
end $$;
