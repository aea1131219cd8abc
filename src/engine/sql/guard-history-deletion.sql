-- An AFTER DELETE trigger on workflow.history: rows go with their run and never alone. DV_HISTORY_APPEND_ONLY.
create or replace function workflow.guard_history_deletion() returns trigger
language plpgsql as $$
begin
  if exists (select from gone g join workflow.runs r on r.id = g.run_id) then
    perform workflow.raise_error('DV_HISTORY_APPEND_ONLY',
      'History is append-only: its rows go with their run, when retention removes that, and never before.');
  end if;
  return null;
end $$;
