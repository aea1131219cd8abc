-- Releases a claimed step unchanged, so that another worker can claim it. Uses up no attempt. A stopping worker calls
-- it.
create or replace function workflow.release_step(run_id uuid, run_version bigint, worker text) returns void
language plpgsql security definer as $$
declare
  n timestamptz := workflow.now();
  r workflow.runs := workflow.fence(run_id, run_version, worker);
begin
  perform workflow.log(r, 'RELEASED', n);
  update workflow.runs set attempt = attempt - 1, wake_at = n, claimed_by = null, claimed_at = null, updated_at = n
  where id = r.id returning * into r;
  perform workflow.schedule_next(r, worker, false);
end $$;
