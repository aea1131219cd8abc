create or replace function workflow.await_open(parent uuid, child uuid) returns void
language plpgsql as $$
begin
  if not exists (select from workflow.runs r join workflow.states s on s.machine = r.machine and s.version = r.machine_version
                 where r.id = parent and s.awaits_children) then
    return;
  end if;
  -- One at a time, for two that come to await each other at once would both not see it.
  perform pg_advisory_xact_lock(hashtext('dict-vsync await'));
  -- Who waits for the parent, or did start it, is not awaited: neither would ever end.
  if exists (
    with recursive above(id) as (
      select parent
      union
      select up.id from above join workflow.runs r on r.id = above.id, unnest(r.parent_id || r.awaited_by) as up (id)
      where up.id is not null)
    select from above where id = child) then
    return;
  end if;
  -- Written into the child's row, so that whoever closes it sees it. One that closed this moment has ended for the parent too.
  update workflow.runs set awaited_by = awaited_by || parent
  where id = child and closed_at is null and parent <> all (coalesce(awaited_by, '{}'));
  if found then
    update workflow.runs set awaits = awaits || child where id = parent;
  end if;
end $$;
comment on function workflow.await_open(uuid, uuid) is
  'Lets a run wait for an open one as for a child of its own, and be woken by its end. Nothing where its machine waits for no children, or where the two would wait for each other.';
