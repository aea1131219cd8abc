create or replace function workflow.hand_over(run_id uuid, run_version bigint, worker text) returns void
language plpgsql security definer as $$
declare
  n timestamptz := workflow.now();
  r workflow.runs := workflow.fence(run_id, run_version, worker);
begin
  perform workflow.log(r, 'RELEASED', n, detail => '{"handedOver": true}');
  update workflow.runs set attempt = attempt - 1, wake_at = n, claimed_by = null, claimed_at = null, updated_at = n
  where id = r.id returning * into r;
  if r.cancel_requested_at is not null then
    perform workflow.close_run(r, 'CANCELLED');
    return;
  end if;
  -- Only programs with this version of the machine have this task, so the worker that hands the step over does not
  -- receive it again.
  perform workflow.add_job(r.id, workflow.version_task(r.machine, r.machine_version), n);
end $$;
comment on function workflow.hand_over(uuid, bigint, text) is
  'Hands a claimed step over to a worker whose program has the run''s version of its machine. Uses up no attempt.';
