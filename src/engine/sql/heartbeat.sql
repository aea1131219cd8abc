create or replace function workflow.heartbeat(worker text, graphile_pools text[])
returns table (run_id uuid, run_version bigint, cancel boolean)
language sql security definer set lock_timeout = '2s' as $$
  -- Clears stopped_at: a worker that was silent and was taken for dead is alive again.
  insert into workflow.workers (id, graphile_ids) values (worker, graphile_pools)
  on conflict (id) do update
    set heartbeat_at = clock_timestamp(), graphile_ids = excluded.graphile_ids, stopped_at = null;
  select id, version, cancel_requested_at is not null from workflow.runs where claimed_by = worker
$$;
comment on function workflow.heartbeat(text, text[]) is
  'Records that a worker is alive. Returns the runs that it has claimed, and which of them are to be cancelled.';
