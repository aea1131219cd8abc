-- Whether a worker's last heartbeat is younger than workflow.lease().
create or replace function workflow.is_alive(worker text) returns boolean
language sql stable as $$
  select exists (
    select from workflow.workers
    where id = worker and stopped_at is null
      -- A heartbeat far in the future was written before the server's clock was set back.
      and heartbeat_at < clock_timestamp() + workflow.lease()
      and (heartbeat_at > clock_timestamp() - workflow.lease()
        -- While Postgres was down no worker could send a heartbeat. After it starts, all workers that were alive up to
        -- 30 minutes before get one lease.
        or pg_postmaster_start_time() > clock_timestamp() - workflow.lease()
           and heartbeat_at > pg_postmaster_start_time() - interval '30 minutes'))
$$;
