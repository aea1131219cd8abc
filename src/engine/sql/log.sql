-- Appends one row to a run's history.
create or replace function workflow.log(r workflow.runs, event text, at timestamptz,
  outcome text default null, next_state text default null, error jsonb default null, detail jsonb default null,
  worker text default null) returns void
language sql as $$
  insert into workflow.history (run_id, version, event, state, attempt, outcome, next_state, at, worker, error, detail)
  values (r.id, r.version, event, r.state, r.attempt, outcome, next_state, at, coalesce(worker, r.claimed_by), error, detail)
$$;
