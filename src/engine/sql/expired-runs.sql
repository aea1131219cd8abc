create or replace function workflow.expired_runs(older_than interval) returns setof uuid
language sql stable as $$
  select r.id from workflow.runs r
  where r.closed_at < workflow.now() - older_than
    -- A parent is kept as long as one of its children is open.
    and not exists (select from workflow.runs c where c.parent_id = r.id and c.closed_at is null)
$$;
comment on function workflow.expired_runs(interval) is 'The closed runs that retention removes when it keeps runs for this long.';
