-- Whether a run in this state can still reach an end other than FAILED without taking an outcome `failure`.
-- A terminal state counts as its own end.
create or replace function workflow.can_end_well(of_machine text, of_version integer, of_state text) returns boolean
language sql stable as $$
  with recursive reachable(state) as (
    select of_state
    union
    select t.next_state from workflow.transitions t join reachable r on t.state = r.state
    where t.machine = of_machine and t.version = of_version and t.outcome <> 'failure')
  select exists (
    select from reachable r join workflow.states s on s.state = r.state
    where s.machine = of_machine and s.version = of_version and s.closes_as <> 'FAILED')
$$;
