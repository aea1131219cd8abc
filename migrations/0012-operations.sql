-- Operating for years: jobs of a queue that ended, runs left to other versions, retention, bloat.

-- Jobs ------------------------------------------------------------------------------------------------------------

create function workflow.unlock_jobs(graphile_pools text[]) returns void
language plpgsql security definer set search_path = pg_catalog, workflow as $$
begin
  execute format('select %I.force_unlock_workers($1)',
    (select value from workflow.settings where name = 'graphile_worker_schema')) using graphile_pools;
end $$;
comment on function workflow.unlock_jobs(text[]) is
  'Gives the jobs back that these pools of Graphile Worker hold: for a pool that is known to be gone.';

create function workflow.hand_over(run_id uuid, run_version bigint, worker text) returns void
language plpgsql security definer set search_path = pg_catalog, workflow as $$
declare
  n timestamptz := workflow.now();
  r workflow.runs := workflow.fence(run_id, run_version, worker);
begin
  perform workflow.log(r, 'RELEASED', n, detail => '{"handedOver": true}');
  update workflow.runs set attempt = attempt - 1, wake_at = n, claimed_by = null, claimed_at = null, updated_at = n
  where id = r.id returning * into r;
  if r.cancel_requested_at is not null then
    perform workflow.close_run(r, 'CANCELLED');
    return;
  end if;
  -- A task that only programs with this version of the machine have: whoever handed it over does not get it again.
  perform workflow.add_job(r.id, workflow.version_task(r.machine, r.machine_version), n);
end $$;
comment on function workflow.hand_over(uuid, bigint, text) is
  'Gives a claimed step to a worker whose program knows the run''s version of its machine; burns no attempt.';

create function workflow.version_task(machine text, machine_version integer) returns text
language sql immutable as $$ select 'machine:' || machine || ':' || machine_version $$;
comment on function workflow.version_task(text, integer) is
  'The task of a job that only programs with this version of the machine may take.';

-- Retention ---------------------------------------------------------------------------------------------------------

create index runs_closed on workflow.runs (closed_at) where closed_at is not null;
-- A removed run takes its signals along.
create index signals_run on workflow.signals (run_id);
create index sync_verifications_asked on dict.sync_verifications (asked_at);
create index reconciliations_ended on dict.reconciliations (ended_at);

create function workflow.expired_runs(older_than interval) returns setof uuid
language sql stable set search_path = pg_catalog, workflow as $$
  select r.id from workflow.runs r
  where r.closed_at < workflow.now() - older_than
    -- A child that still runs keeps its parent.
    and not exists (select from workflow.runs c where c.parent_id = r.id and c.closed_at is null)
$$;
comment on function workflow.expired_runs(interval) is 'The closed runs that retention removes at this age.';

create function workflow.remove_expired(older_than interval, most integer default 100) returns integer
language plpgsql security definer set search_path = pg_catalog, workflow as $$
declare
  graphile text := (select value from workflow.settings where name = 'graphile_worker_schema');
  removed integer;
  more integer;
begin
  -- History and signals go with their run.
  delete from workflow.runs where id in (
    select id from workflow.runs where id in (select workflow.expired_runs(older_than) limit most)
    for update skip locked);
  get diagnostics removed = row_count;
  delete from workflow.schedule_ticks where (schedule, tick) in (
    select schedule, tick from workflow.schedule_ticks where decided_at < workflow.now() - older_than
    limit most for update skip locked);
  get diagnostics more = row_count;
  removed := removed + more;
  -- Jobs of ours that Graphile Worker gave up keep no key, and are in nobody's way: it never removes them itself.
  execute format(
    'select count(*)::integer from %I.complete_jobs(array(
       select id from %1$I.jobs
       where key is null and locked_at is null and attempts >= max_attempts and max_attempts = 25
         and run_at < clock_timestamp() - interval ''7 days''
         and (task_identifier = ''advance_run'' or task_identifier in (select task from workflow.states))
       limit $1))', graphile) into more using most;
  return removed + more;
end $$;
comment on function workflow.remove_expired(interval, integer) is
  'Removes up to so many closed runs of this age (with history and signals) and so many ticks of schedules, in one short transaction; returns how many rows. Call it until it returns 0.';

create function dict.expired_reconciliations(older_than interval) returns setof uuid
language sql stable set search_path = pg_catalog, dict, workflow as $$
  select r.run_id from dict.reconciliations r
  where r.ended_at < workflow.now() - older_than
    and not exists (select from workflow.runs w where w.id = r.run_id and w.closed_at is null)
    -- What is being undone, and keys that are held because of it, still need it.
    and not exists (
      select from dict.undos u
      where u.run_id = r.run_id and (u.ended_at is null or u.ended_at >= workflow.now() - older_than
        or exists (select from dict.held_keys h where h.undo_run_id = u.undo_run_id and h.released_at is null)))
$$;
comment on function dict.expired_reconciliations(interval) is 'The reconciliations that retention removes at this age.';

create function dict.expired_sync_verifications(older_than interval) returns setof uuid
language sql stable set search_path = pg_catalog, dict, workflow as $$
  select s.id from dict.sync_verifications s
  where s.asked_at < workflow.now() - older_than
    -- The last OK is where a replay of the logs begins, and what the deadline counts from.
    and s.id is distinct from (
      select o.id from dict.sync_verifications o
      where o.participant = s.participant and o.key_type = s.key_type and o.result = 'OK'
      order by o.answered_at desc limit 1)
$$;
comment on function dict.expired_sync_verifications(interval) is
  'The proofs of synchronism that retention removes at this age: never the last OK of a participant and key type.';

create function dict.remove_expired(older_than interval, most integer default 1000) returns integer
language plpgsql security definer set search_path = pg_catalog, dict, workflow as $$
declare
  gone uuid[] := array(select dict.expired_reconciliations(older_than) limit most);
  removed integer := 0;
  more integer;
begin
  -- From the leaves: a reconciliation may have a million rows, and each call stays small.
  delete from dict.divergences where (run_id, round, cid) in (
    select run_id, round, cid from dict.divergences where run_id = any (gone) limit most for update skip locked);
  get diagnostics removed = row_count;
  if removed < most then
    delete from dict.undone where (undo_run_id, key) in (
      select undo_run_id, key from dict.undone where run_id = any (gone) limit most - removed for update skip locked);
    get diagnostics more = row_count;
    removed := removed + more;
  end if;
  if removed < most then
    delete from dict.reconciliations r where run_id in (
      select run_id from dict.reconciliations where run_id = any (gone)
        and not exists (select from dict.divergences d where d.run_id = reconciliations.run_id)
        and not exists (select from dict.undone u where u.run_id = reconciliations.run_id)
      limit most - removed for update skip locked);
    get diagnostics more = row_count;
    removed := removed + more;
  end if;
  if removed < most then
    delete from dict.sync_verifications where id in (
      select id from dict.sync_verifications
      where id in (select dict.expired_sync_verifications(older_than)) limit most - removed for update skip locked);
    get diagnostics more = row_count;
    removed := removed + more;
  end if;
  if removed < most then
    delete from dict.verifications where run_id in (
      select run_id from dict.verifications where ended_at < workflow.now() - older_than
      limit most - removed for update skip locked);
    get diagnostics more = row_count;
    removed := removed + more;
  end if;
  return removed;
end $$;
comment on function dict.remove_expired(interval, integer) is
  'Removes up to so many rows of verifications, reconciliations and their divergences of this age, in one short transaction; returns how many. Call it until it returns 0. CIDs are never removed (Manual §9).';

-- Bloat ---------------------------------------------------------------------------------------------------------------

-- Rows that live for seconds, or change every few: dead ones are taken away by the thousand, not by the fifth of the table.
alter table workflow.runs set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500, autovacuum_analyze_scale_factor = 0.05);
alter table workflow.history set (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
alter table workflow.workers set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);
alter table dict.vsync_deltas set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_insert_threshold = -1);
alter table dict.vsync_buckets set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);
alter table dict.rate_limits set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
alter table dict.outbox_sequences set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
alter table dict.outbox set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
alter table dict.feed_queue set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

create function workflow.tune_jobs() returns boolean
language plpgsql set search_path = pg_catalog, workflow as $$
begin
  execute format('alter table %I._private_jobs set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)',
    (select value from workflow.settings where name = 'graphile_worker_schema'));
  return true;
exception when insufficient_privilege or undefined_table then
  -- Somebody else's Graphile Worker: theirs to tune.
  return false;
end $$;
comment on function workflow.tune_jobs() is
  'Lets autovacuum take dead jobs away by the thousand. False when the jobs'' table belongs to somebody else. Called by dict-vsync migrate.';

-- Rights --------------------------------------------------------------------------------------------------------------

revoke execute on function workflow.unlock_jobs(text[]), workflow.hand_over(uuid, bigint, text),
  workflow.remove_expired(interval, integer), dict.remove_expired(interval, integer) from public;
