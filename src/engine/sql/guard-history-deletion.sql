-- An AFTER DELETE trigger on workflow.history: rows are removed together with their run and never alone.
-- Error: DV_HISTORY_APPEND_ONLY.
create or replace function workflow.guard_history_deletion() returns trigger
language plpgsql as $$
begin
  if exists (select from gone g join workflow.runs r on r.id = g.run_id) then
    perform workflow.raise_error('DV_HISTORY_APPEND_ONLY',
      'History is append-only. Its rows are removed only together with their run, by retention.');
  end if;
  return null;
end $$;
