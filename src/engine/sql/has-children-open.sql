create or replace function workflow.has_children_open(r workflow.runs, since timestamptz default 'infinity') returns boolean
language sql stable as $$
  with recursive awaited(id, closed_at) as (
    select c.id, c.closed_at from workflow.runs c where c.id = any (r.awaits)
    union
    -- The successor of a run that closed CONTINUED counts as the same run.
    select n.id, n.closed_at from workflow.runs n join awaited a on n.continued_from = a.id)
  select exists (select from workflow.runs c where c.parent_id = r.id and (c.closed_at is null or c.closed_at > since))
    or r.awaits is not null and exists (select from awaited where closed_at is null or closed_at > since)
$$;
comment on function workflow.has_children_open(workflow.runs, timestamptz) is
  'Whether a run has children that are open, or that closed after this time. Children that it does not own count too.';
