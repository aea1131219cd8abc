create or replace function workflow.claim_many(run_ids uuid[], worker text) returns table (run_id uuid, next jsonb)
language plpgsql security definer
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan as $$
declare
  n timestamptz := workflow.now();
begin
  return query
  with locked as materialized (
    -- Found by id only. SKIP LOCKED: this statement never waits for a row while it has locked others.
    select * from workflow.runs where id = any (run_ids) for update skip locked
  ), due as (
    select r.id from locked r
    join workflow.states s on s.machine = r.machine and s.version = r.machine_version and s.state = r.state
    where r.closed_at is null and r.claimed_by is null and r.cancel_requested_at is null
      and s.task is not null and r.wake_at <= n + interval '2 milliseconds'
  ), claimed as (
    update workflow.runs r set
      status = 'RUNNING', version = r.version + 1, attempt = r.attempt + 1,
      claimed_by = worker, claimed_at = n, updated_at = n
    from due where r.id = due.id returning r.*
  ), written as (
    insert into workflow.history (run_id, version, event, state, attempt, at, worker)
    select c.id, c.version, 'STARTED', c.state, c.attempt, n, worker from claimed c
  )
  select c.id, workflow.step_of(c::workflow.runs, s) from claimed c
  join workflow.states s on s.machine = c.machine and s.version = c.machine_version and s.state = c.state;
end $$;
comment on function workflow.claim_many(uuid[], text) is
  'Claims the due steps of several runs for a worker, but handles only the simple cases. Returns the claimed steps; call workflow.claim for each of the other runs.';
