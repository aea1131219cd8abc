-- Each run is repaired in its own subtransaction. A run that cannot be repaired, or whose lock is not free within half
-- a second, is reported as `not repaired` and does not prevent the repair of the others.
create or replace function workflow.sweep() returns table (run_id uuid, what text)
language plpgsql security definer set lock_timeout = '500ms' as $$
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

  -- First the workers that have become silent. Then jobs that are locked by no living worker: the worker died before
  -- its first heartbeat, or its row was removed.
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
      perform workflow.schedule_next(r, null, false);
      what := case r.status when 'POISONED' then 'poisoned' else 'abandoned' end;
    exception when others then
      what := 'not repaired';
    end;
    return next;
  end loop;

  -- Nothing would ever advance these runs: they are not waiting, not claimed, and have no time set.
  for r in select * from workflow.runs x
           where x.closed_at is null and x.claimed_by is null and x.wake_at is null
             and (x.status <> 'WAITING' or x.deadline is not null) and x.updated_at < n - interval '5 seconds'
           for update skip locked loop
    run_id := r.id;
    begin
      update workflow.runs x set wake_at = case x.status when 'WAITING' then x.deadline else n end, updated_at = n
      where x.id = r.id returning * into r;
      perform workflow.schedule_next(r, null, false);
      what := 'not scheduled';
    exception when others then
      what := 'not repaired';
    end;
    return next;
  end loop;

  -- What these runs wait for has happened: there is a signal that was not consumed, or their last child has ended.
  for r in select x.* from workflow.runs x
           join workflow.states s on (s.machine, s.version, s.state) = (x.machine, x.machine_version, x.state)
           where x.status = 'WAITING' and x.claimed_by is null
             and (exists (select from workflow.signals g
                          where g.run_id = x.id and g.consumed_at is null and g.name = any (s.signals)
                            and g.sent_at < n - interval '5 seconds')
               or s.awaits_children and x.updated_at < n - interval '5 seconds'
                  and not workflow.has_children_open(x, n - interval '5 seconds'))
           for update of x skip locked loop
    run_id := r.id;
    begin
      perform workflow.schedule_next(workflow.advance_waits(r, (
        select s from workflow.states s
        where (s.machine, s.version, s.state) = (r.machine, r.machine_version, r.state))), null, false);
      what := 'not woken';
    exception when others then
      what := 'not repaired';
    end;
    return next;
  end loop;

  for r in execute format(
    'select r.* from workflow.runs r
     where r.closed_at is null and r.claimed_by is null and r.wake_at < workflow.now() - interval ''5 seconds''
       and not exists (
         select from %I.jobs j
         where j.key = ''run:'' || r.id
           -- A job that Graphile Worker gave up, or postponed after its own failures, does not count. Neither does a
           -- job that has been locked for long without claiming its run: the answer that it was fetched, or that it
           -- ended, was lost. One claim too many does no harm.
           and (j.locked_at > clock_timestamp() - workflow.lease()
             or j.locked_at is null and j.attempts < j.max_attempts and j.run_at <= clock_timestamp()))
     for update of r skip locked', graphile) loop
    run_id := r.id;
    begin
      perform workflow.schedule_next(r, null, false);
      what := 'without job';
    exception when others then
      what := 'not repaired';
    end;
    return next;
  end loop;

  -- Removes timers of runs that have closed, and jobs that were given up and have been replaced. Both are harmless and
  -- useless, so they are not reported.
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
  'Recovery: releases the runs and jobs of workers that have been silent for a lease (10 s), and repairs runs that have no job or timer or that missed their signal. Returns each run that it repaired, or could not repair.';
