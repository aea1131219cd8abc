-- The run as claimed, locked, or DV_FENCED: the caller's step was taken over, its writes must roll back.
create or replace function workflow.fence(run_id uuid, run_version bigint, worker text) returns workflow.runs
language plpgsql as $$
declare
  r workflow.runs;
begin
  select * into r from workflow.runs
  where id = run_id and version = run_version and claimed_by = worker and closed_at is null for update;
  if not found then
    perform workflow.raise_error('DV_FENCED', format('Run %s was taken over or closed while this step worked; its writes are thrown away.', run_id));
  end if;
  return r;
end $$;
