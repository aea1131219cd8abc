-- The margin is for customers' changes, which happen on two sides; an import of the key base happens on one. A snapshot
-- that this cluster has not reached came with a dump of another cluster; then the time decides what changed after it.
create or replace function dict.in_flight(changed xid8, at timestamptz, why text, r dict.rounds) returns boolean
language sql volatile
return dict.changed_since(changed, r.snapshot) or (at > r.margin_starts_at and why is distinct from 'imported')
  or (at > r.snapshot_at and pg_snapshot_xmax(r.snapshot) > pg_snapshot_xmax(pg_current_snapshot()));
comment on function dict.in_flight(xid8, timestamptz, text, dict.rounds) is
  'Whether a change was made since the round''s snapshot, or within the margin before it (an import only if made since the snapshot).';
