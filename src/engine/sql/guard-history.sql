-- A BEFORE UPDATE trigger on workflow.history: rows never change. Error: DV_HISTORY_APPEND_ONLY.
create or replace function workflow.guard_history() returns trigger
language plpgsql as $$
begin
  perform workflow.raise_error('DV_HISTORY_APPEND_ONLY', 'History is append-only. Its rows cannot be changed.');
  return null;
end $$;
