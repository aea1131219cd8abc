-- Releases a dead worker's claim on a run. When a third worker has died in the same step, the run becomes POISONED.
create or replace function workflow.abandon(r workflow.runs) returns workflow.runs
language plpgsql as $$
declare
  n timestamptz := workflow.now();
  -- A live worker abandons its own claim when the claim's answer was lost. No worker died then.
  died boolean := not workflow.is_alive(r.claimed_by);
  deaths bigint;
  beside bigint := 0;
begin
  perform workflow.log(r, 'ABANDONED', n, detail => jsonb_build_object('died', died));
  if died then
    select count(*) into deaths from workflow.history h
    where h.run_id = r.id and h.event = 'ABANDONED' and h.detail -> 'died' = 'true'
      and h.id > coalesce((select max(e.id) from workflow.history e
                           where e.run_id = r.id and e.event in ('COMPLETED', 'RETRIED')), 0);
    if deaths >= 3 and r.cancel_requested_at is null then
      perform workflow.close_run(r, 'POISONED', jsonb_build_object('code', 'DV_STEP_POISONED', 'class', 'not_retryable',
        'message', format('Three workers died while they worked in %s. Find out why in their logs, then retry the run.', r.state)));
      select * into r from workflow.runs where id = r.id;
      return r;
    end if;
    if deaths = 2 then
      -- The dead worker had several steps at the same time, and one of them kills workers. Start them at different
      -- times now, so that the others survive.
      select count(*) into beside from workflow.runs x where x.claimed_by = r.claimed_by and x.id <> r.id;
    end if;
  end if;
  update workflow.runs set wake_at = n + beside * interval '5 seconds', claimed_by = null, claimed_at = null, updated_at = n
  where id = r.id returning * into r;
  return r;
end $$;
