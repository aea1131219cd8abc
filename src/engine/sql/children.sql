create or replace view workflow.children as
select r.parent_id, r.id as child_id, true as owned from workflow.runs r where r.parent_id is not null
union all
select r.id, a.child_id, false from workflow.runs r, unnest(r.awaits) as a (child_id);
comment on view workflow.children is
  'The children of each run: those that it started (owned), and those that were already open under the key it asked for. It waits for the latter too, but does not own them.';
