-- The state that an outcome leads to. Error: DV_OUTCOME_UNKNOWN.
create or replace function workflow.next_state(r workflow.runs, took text) returns text
language plpgsql stable as $$
declare
  result text;
begin
  select t.next_state into result from workflow.transitions t
  where t.machine = r.machine and t.version = r.machine_version and t.state = r.state and t.outcome = took;
  if result is null then
    perform workflow.raise_error('DV_OUTCOME_UNKNOWN', format(
      'State %s of machine %s version %s has no outcome "%s".', r.state, r.machine, r.machine_version, took));
  end if;
  return result;
end $$;
