create or replace function dict.changed_since(changed xid8, kept pg_snapshot) returns boolean
language plpgsql volatile as $$
begin
  -- A transaction id that this cluster has not reached came with a dump of another cluster, so it is not a change made
  -- here.
  return not pg_visible_in_snapshot(changed, kept)
    and (changed < pg_snapshot_xmax(pg_current_snapshot()) or changed = pg_current_xact_id_if_assigned());
end $$;
comment on function dict.changed_since(xid8, pg_snapshot) is
  'Whether a committed change was made after the snapshot. Volatile on purpose: it must see what committed while the caller waited for a lock.';
