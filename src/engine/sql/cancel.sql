create or replace function workflow.cancel(run uuid, by_whom text default session_user, why text default null) returns text
language plpgsql security definer as $$
declare
  r workflow.runs;
begin
  select * into r from workflow.runs where id = run for update;
  if not found then
    perform workflow.raise_error('DV_RUN_NOT_FOUND', format('There is no run %s.', run));
  end if;
  if r.closed_at is not null then
    perform workflow.raise_error('DV_RUN_CLOSED', format('Run %s is already closed (%s) and cannot be cancelled.', run, r.status));
  end if;
  perform workflow.cancel_run(r, by_whom, why);
  return (select case when closed_at is null then 'CANCEL_REQUESTED' else status end from workflow.runs where id = run);
end $$;
comment on function workflow.cancel(uuid, text, text) is
  'Cancels an open run: immediately, or at the end of its current step if a worker has claimed it. Returns CANCELLED or CANCEL_REQUESTED. Errors: DV_RUN_NOT_FOUND, DV_RUN_CLOSED.';
