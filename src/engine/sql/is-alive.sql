-- Whether a worker's last heartbeat is younger than workflow.lease().
create or replace function workflow.is_alive(worker text) returns boolean
language sql stable as $$
  select exists (
    select from workflow.workers
    where id = worker and stopped_at is null
      -- One far in the future is of before the server's clock was set back.
      and heartbeat_at < clock_timestamp() + workflow.lease()
      and (heartbeat_at > clock_timestamp() - workflow.lease()
        -- While Postgres was away nobody could beat: after its start all who were there a moment before get a lease.
        or pg_postmaster_start_time() > clock_timestamp() - workflow.lease()
           and heartbeat_at > pg_postmaster_start_time() - interval '30 minutes'))
$$;
