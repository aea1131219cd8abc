-- Recovery: shorter leases, a sweep that finds every run without a way to go on, steps that kill their worker put aside.

-- Leases ----------------------------------------------------------------------------------------------------------

create function workflow.lease() returns interval
language sql immutable set search_path = pg_catalog as $$
  -- Five missed heartbeats (one every 2 s). With a sweep every 2 s a dead worker's runs go on within 15 s.
  select interval '10 seconds'
$$;
comment on function workflow.lease() is 'How long a worker may be silent before it is taken for dead.';

create or replace function workflow.is_alive(worker text) returns boolean
language sql stable set search_path = pg_catalog, workflow as $$
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

-- Poison ----------------------------------------------------------------------------------------------------------

create index runs_poisoned on workflow.runs (closed_at) where status = 'POISONED';

-- Frees a run from the worker that held it. The third worker that dies in one step is the last: the run is put aside.
create or replace function workflow.abandon(r workflow.runs) returns workflow.runs
language plpgsql set search_path = pg_catalog, workflow as $$
declare
  n timestamptz := workflow.now();
  -- A worker asks for a claim of its own again when the claim's answer got lost: nobody died of that.
  died boolean := not workflow.is_alive(r.claimed_by);
  deaths bigint;
  beside bigint := 0;
begin
  perform workflow.log(r, 'ABANDONED', n, detail => jsonb_build_object('died', died));
  if died then
    select count(*) into deaths from workflow.history h
    where h.run_id = r.id and h.event = 'ABANDONED' and h.detail -> 'died' = 'true'
      and h.id > coalesce((select max(e.id) from workflow.history e
                           where e.run_id = r.id and e.event in ('COMPLETED', 'RETRIED')), 0);
    if deaths >= 3 and r.cancel_requested_at is null then
      perform workflow.close_run(r, 'POISONED', jsonb_build_object('code', 'DV_STEP_POISONED', 'class', 'not_retryable',
        'message', format('Three workers died while they were in %s. Find out why in their logs, then retry the run.', r.state)));
      select * into r from workflow.runs where id = r.id;
      return r;
    end if;
    if deaths = 2 then
      -- One of the steps that a worker did at once kills it: apart from each other the next time, the others survive it.
      select count(*) into beside from workflow.runs x where x.claimed_by = r.claimed_by and x.id <> r.id;
    end if;
  end if;
  update workflow.runs set wake_at = n + beside * interval '5 seconds', claimed_by = null, claimed_at = null, updated_at = n
  where id = r.id returning * into r;
  return r;
end $$;

-- The reconciler ----------------------------------------------------------------------------------------------------

-- Each run is mended in a subtransaction of its own: one that cannot be does not keep the others from it.
create or replace function workflow.sweep() returns table (run_id uuid, what text)
language plpgsql security definer set search_path = pg_catalog, workflow as $$
declare
  graphile text := (select value from workflow.settings where name = 'graphile_worker_schema');
  n timestamptz := workflow.now();
  silent text[];
  living text[];
  r workflow.runs;
begin
  -- One sweeper at a time is enough.
  if not pg_try_advisory_xact_lock(hashtext('dict-vsync sweep')) then
    return;
  end if;

  -- Workers gone silent; then jobs locked in the name of nobody who lives: of a worker that died before its first
  -- heartbeat, or that was forgotten.
  with gone as (
    update workflow.workers set stopped_at = clock_timestamp()
    where stopped_at is null and not workflow.is_alive(id)
    returning graphile_ids)
  select array_agg(g) into silent from gone, unnest(graphile_ids) g;
  select coalesce(array_agg(g), '{}') into living
  from workflow.workers w, unnest(w.graphile_ids) g where workflow.is_alive(w.id);
  execute format(
    'select $1 || coalesce(array_agg(distinct locked_by), ''{}'') from %I.jobs
     where (key ~ ''^(run|children|schedule):''
         or key is null and task_identifier in (select task from workflow.states union all select ''advance_run''))
       and locked_at < clock_timestamp() - workflow.lease() and locked_by <> all ($2)',
    graphile) into silent using coalesce(silent, '{}'), living;
  if cardinality(silent) > 0 then
    execute format('select %I.force_unlock_workers($1)', graphile) using silent;
  end if;

  for r in select * from workflow.runs x
           where x.claimed_by is not null and not workflow.is_alive(x.claimed_by) order by x.id for update skip locked loop
    run_id := r.id;
    begin
      r := workflow.abandon(r);
      perform workflow.go_on(r, null, false);
      what := case r.status when 'POISONED' then 'poisoned' else 'abandoned' end;
    exception when others then
      what := 'not mended';
    end;
    return next;
  end loop;

  -- Nothing would ever move these: not waiting, not claimed, and no time set.
  for r in select * from workflow.runs x
           where x.closed_at is null and x.claimed_by is null and x.wake_at is null
             and (x.status <> 'WAITING' or x.deadline is not null) and x.updated_at < n - interval '5 seconds'
           for update skip locked loop
    run_id := r.id;
    begin
      update workflow.runs x set wake_at = case x.status when 'WAITING' then x.deadline else n end, updated_at = n
      where x.id = r.id returning * into r;
      perform workflow.go_on(r, null, false);
      what := 'no way on';
    exception when others then
      what := 'not mended';
    end;
    return next;
  end loop;

  -- What they wait for has come: a signal that nobody consumed, or children of which the last has ended.
  for r in select x.* from workflow.runs x
           join workflow.states s on (s.machine, s.version, s.state) = (x.machine, x.machine_version, x.state)
           where x.status = 'WAITING' and x.claimed_by is null
             and (exists (select from workflow.signals g
                          where g.run_id = x.id and g.consumed_at is null and g.name = any (s.signals)
                            and g.sent_at < n - interval '5 seconds')
               or s.awaits_children and x.updated_at < n - interval '5 seconds'
                  and not exists (select from workflow.runs c where c.parent_id = x.id
                                  and (c.closed_at is null or c.closed_at > n - interval '5 seconds')))
           for update of x skip locked loop
    run_id := r.id;
    begin
      perform workflow.go_on(workflow.settle(r, (
        select s from workflow.states s
        where (s.machine, s.version, s.state) = (r.machine, r.machine_version, r.state))), null, false);
      what := 'not woken';
    exception when others then
      what := 'not mended';
    end;
    return next;
  end loop;

  for r in execute format(
    'select r.* from workflow.runs r
     where r.closed_at is null and r.claimed_by is null and r.wake_at < workflow.now() - interval ''5 seconds''
       and not exists (
         select from %I.jobs j
         where j.key = ''run:'' || r.id
           -- A job that Graphile Worker gave up, or puts off after its own failures, is as good as none; so is one that
           -- is locked for long and has not claimed its run: that it was fetched, or the end of its work, got lost. A claim too many does no harm.
           and (j.locked_at > clock_timestamp() - workflow.lease()
             or j.locked_at is null and j.attempts < j.max_attempts and j.run_at <= clock_timestamp()))
     for update of r skip locked', graphile) loop
    run_id := r.id;
    begin
      perform workflow.go_on(r, null, false);
      what := 'without job';
    exception when others then
      what := 'not mended';
    end;
    return next;
  end loop;

  -- Timers of runs that closed before, and jobs given up that others have replaced: harmless, and of no use. Not counted.
  execute format(
    'select %1$I.remove_job(j.key) from %1$I.jobs j
     left join workflow.runs r on r.id = split_part(j.key, '':'', 2)::uuid
     where j.key ~ ''^(run|children):'' and j.locked_at is null and (r.id is null or r.closed_at < workflow.now() - interval ''5 seconds'')
     limit 100', graphile);
  execute format(
    'select %1$I.complete_jobs(array(
       select id from %1$I.jobs
       where key is null and locked_at is null and attempts >= max_attempts
         and task_identifier in (select task from workflow.states union all select ''advance_run'') limit 100))', graphile);
  delete from workflow.workers where stopped_at < clock_timestamp() - interval '7 days';
end $$;
comment on function workflow.sweep() is
  'Recovery: what workers silent for a lease (10 s) held goes back to the queue; runs without a job, timer or awaited signal are mended. Returns what it mended.';

-- What is done with is forgotten, what happened is not --------------------------------------------------------------

-- Whether a run in this state can still end otherwise than FAILED, failures aside. Not from an end itself.
create function workflow.can_end_well(of_machine text, of_version integer, of_state text) returns boolean
language sql stable set search_path = pg_catalog, workflow as $$
  with recursive reachable(state) as (
    select of_state
    union
    select t.next_state from workflow.transitions t join reachable r on t.state = r.state
    where t.machine = of_machine and t.version = of_version and t.outcome <> 'failure')
  select exists (
    select from reachable r join workflow.states s on s.state = r.state
    where s.machine = of_machine and s.version = of_version and s.closes_as <> 'FAILED')
$$;

create or replace function workflow.close_run(r workflow.runs, final_status text, final_error jsonb default null) returns void
language plpgsql set search_path = pg_catalog, workflow as $$
declare
  n timestamptz := workflow.now();
  child workflow.runs;
  parent workflow.runs;
begin
  -- The state too: an end is entered by closing in it, never by an open run.
  update workflow.runs set
    state = r.state, attempt = r.attempt, status = final_status, closed_at = n, updated_at = n, wake_at = null, deadline = null,
    claimed_by = null, claimed_at = null, cancel_requested_at = null, error = coalesce(final_error, r.error),
    failed_state = case
      when final_status not in ('FAILED', 'POISONED') then null
      -- It failed where it could have ended well: here, and not where it failed earlier and dealt with that.
      when r.failed_state is null or workflow.can_end_well(r.machine, r.machine_version, r.state) then r.state
      else r.failed_state end
  where id = r.id;
  perform workflow.log(r, 'CLOSED', n, final_status, error => final_error);

  for child in select * from workflow.runs
               where parent_id = r.id and closed_at is null and parent_close_policy <> 'ABANDON'
               order by id for update loop
    if child.parent_close_policy = 'TERMINATE' then
      perform workflow.close_run(child, 'TERMINATED');
    else
      perform workflow.cancel_run(child, 'parent ' || r.id);
    end if;
  end loop;

  -- The parent is woken by a job and not touched here: it may be closing right now and wait for our lock. The job has
  -- a key of its own, and is added wherever the parent stands: it may be entering its wait, or moving its own job to
  -- its deadline, in a transaction that does not see our end.
  select p.* into parent from workflow.runs p
  where p.id = r.parent_id and p.closed_at is null and exists (
    select from workflow.states s
    where s.machine = p.machine and s.version = p.machine_version and s.awaits_children);
  if found then
    perform workflow.add_job(parent.id, 'advance_run', n, 'children:');
  end if;
end $$;

create function workflow.guard_history_deletion() returns trigger
language plpgsql set search_path = pg_catalog, workflow as $$
begin
  if exists (select from gone g join workflow.runs r on r.id = g.run_id) then
    perform workflow.raise_error('DV_HISTORY_APPEND_ONLY',
      'History is append-only: its rows go with their run, when retention removes that, and never before.');
  end if;
  return null;
end $$;

create trigger guard_history_deletion after delete on workflow.history
  referencing old table as gone for each statement execute function workflow.guard_history_deletion();

-- Rights --------------------------------------------------------------------------------------------------------------

-- What runs with its owner's rights is not for everybody who can see the schema. Reading VSyncs stays: views do.
do $$
declare
  f regprocedure;
begin
  for f in select p.oid::regprocedure from pg_proc p
           where p.prosecdef and p.pronamespace in ('dict'::regnamespace, 'workflow'::regnamespace)
             and p.oid not in ('dict.vsync(text, text)'::regprocedure, 'dict.incomplete(text, text)'::regprocedure) loop
    execute format('revoke execute on function %s from public', f);
  end loop;
end $$;

create function workflow.grant_ways_in(to_role regrole) returns void
language plpgsql set search_path = pg_catalog, workflow as $$
declare
  f regprocedure;
begin
  execute format('grant usage on schema dict, workflow to %s', to_role);
  for f in select p.oid::regprocedure from pg_proc p
           where p.pronamespace = 'dict'::regnamespace and p.proname in ('start_verification', 'start_reconciliation',
               'approve_reconciliation', 'reject_reconciliation', 'register_local_only', 'start_undo', 'release_keys')
             or p.pronamespace = 'workflow'::regnamespace and p.proname in ('cancel', 'retry', 'find_run') loop
    execute format('grant execute on function %s to %s', f, to_role);
  end loop;
end $$;
comment on function workflow.grant_ways_in(regrole) is
  'Lets a role start, decide, undo, cancel and retry by the documented functions, and nothing else. For the owner to call.';
