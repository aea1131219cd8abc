-- Locks a run and returns it if it is still claimed as the caller says. Otherwise raises DV_FENCED: the step was taken
-- over, so the caller's writes must be rolled back.
create or replace function workflow.fence(run_id uuid, run_version bigint, worker text) returns workflow.runs
language plpgsql as $$
declare
  r workflow.runs;
begin
  select * into r from workflow.runs
  where id = run_id and version = run_version and claimed_by = worker and closed_at is null for update;
  if not found then
    perform workflow.raise_error('DV_FENCED', format('Run %s was taken over or closed while this step was working. What the step wrote is discarded.', run_id));
  end if;
  return r;
end $$;
