create or replace function workflow.await_open(parent uuid, child uuid) returns void
language plpgsql as $$
begin
  if not exists (select from workflow.runs r join workflow.states s on s.machine = r.machine and s.version = r.machine_version
                 where r.id = parent and s.awaits_children) then
    return;
  end if;
  -- One transaction at a time: two runs that begin to await each other simultaneously would not see each other.
  perform pg_advisory_xact_lock(hashtext('dict-vsync await'));
  -- A run that started the parent, or waits for it, is not awaited: neither of the two would ever end.
  if exists (
    with recursive above(id) as (
      select parent
      union
      select up.id from above join workflow.runs r on r.id = above.id, unnest(r.parent_id || r.awaited_by) as up (id)
      where up.id is not null)
    select from above where id = child) then
    return;
  end if;
  -- Written into the child's row, so that the transaction that closes the child sees it. If the child has closed by
  -- now, it counts as ended for the parent.
  update workflow.runs set awaited_by = awaited_by || parent
  where id = child and closed_at is null and parent <> all (coalesce(awaited_by, '{}'));
  if found then
    update workflow.runs set awaits = awaits || child where id = parent;
  end if;
end $$;
comment on function workflow.await_open(uuid, uuid) is
  'Makes a run wait for an open run as if it were its own child, and be woken when it ends. Does nothing if the run''s machine never waits for children, or if the two runs would wait for each other.';
