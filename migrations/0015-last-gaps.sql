-- Ends from outside of every kind of run: told, and their rows closed, in the transaction that ends the run. Children
-- whose key is open already. Locks that recovery waits for. Dumps that can be restored, into any cluster.

-- At once: a trigger and a column later, a step under way in between would hold what the second waits for, and wait for
-- what the first holds.
lock table workflow.runs in access exclusive mode;

-- A verification that does not come to its summary ------------------------------------------------------------------------------

create function dict.verification_closed() returns trigger
language plpgsql security definer set search_path = pg_catalog, dict, workflow as $$
declare
  utc constant text := 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"';
  of_participant text := new.input ->> 'participant';
  types text[];
  found_out jsonb;
  outcome text;
  reconciliations jsonb;
begin
  -- What the machine ends by itself it has logged and told in steps of its own. Nothing here may fail: it would keep the
  -- run from ending.
  if exists (select from workflow.states s where (s.machine, s.version, s.state) = (new.machine, new.machine_version, new.state)
             and s.kind = 'terminal')
     or of_participant is null or jsonb_typeof(new.input -> 'keyTypes') is distinct from 'array' then
    return null;
  end if;
  select array_agg(t order by place) into types from jsonb_array_elements_text(new.input -> 'keyTypes') with ordinality as x (t, place)
  where t is not null;
  -- What it knows; a key type that it did not come to is none that is in sync.
  select coalesce(jsonb_object_agg(t, coalesce(new.context -> 'results' -> t, jsonb_build_object('result', 'ERROR', 'code',
      case when new.status in ('CANCELLED', 'TERMINATED') then 'DV_RUN_CANCELLED'
           else coalesce(new.error ->> 'code', 'DV_UNEXPECTED') end))), '{}')
    into found_out from unnest(types) t;
  select case when bool_or(value ->> 'result' = 'ERROR') then 'INCOMPLETE'
              when bool_or(value ->> 'result' = 'NOK') then 'OUT_OF_SYNC' else 'IN_SYNC' end
    into outcome from jsonb_each(found_out);
  insert into dict.verifications as v (run_id, participant, key_types, started_at, ended_at, outcome, results)
  values (new.id, of_participant, coalesce(types, '{}'), new.created_at, new.closed_at, outcome, found_out)
  on conflict (run_id) do update set ended_at = excluded.ended_at, outcome = excluded.outcome, results = excluded.results;

  select coalesce(jsonb_object_agg(r.input ->> 'keyType', r.id), '{}') into reconciliations from workflow.runs r
  where r.machine = 'reconciliation' and r.input ->> 'participant' = of_participant
    and (r.parent_id = new.id or r.closed_at is null)
    and found_out -> (r.input ->> 'keyType') ->> 'result' = 'NOK';
  select coalesce(jsonb_object_agg(key, value || jsonb_strip_nulls(jsonb_build_object('seconds', (
      select extract(epoch from max(s.answered_at) - min(s.asked_at)) from dict.sync_verifications s
      where s.run_id = new.id and s.purpose = 'VERIFICATION' and s.key_type = key)))), '{}')
    into found_out from jsonb_each(found_out);
  perform dict.publish(of_participant, 'ALL', 'verification.summary', jsonb_build_object(
    'runId', new.id, 'outcome', outcome,
    'startedAt', to_char(new.created_at at time zone 'UTC', utc),
    'endedAt', to_char(new.closed_at at time zone 'UTC', utc),
    'seconds', extract(epoch from new.closed_at - new.created_at),
    'keyTypes', found_out, 'reconciliations', reconciliations), new.id);
  return null;
end $$;
comment on function dict.verification_closed() is
  'Logs a verification that was cancelled, terminated or poisoned, or that failed before its summary, and tells Core-Dict what it knows, in the transaction that closed the run.';
create trigger verification_closed after update of closed_at on workflow.runs
  for each row when (new.machine = 'verification' and old.closed_at is null and new.closed_at is not null)
  execute function dict.verification_closed();

-- An undo's row ----------------------------------------------------------------------------------------------------------------

alter table dict.undos add column outcome text
  check (outcome in ('COMPLETED', 'FAILED', 'POISONED', 'CANCELLED', 'TERMINATED'));
comment on column dict.undos.outcome is
  'How its run ended; null as long as it is open. Anything but COMPLETED: keys may be left that it did not come to, which another undo does.';

create function dict.undo_closed() returns trigger
language plpgsql security definer set search_path = pg_catalog, dict, workflow as $$
declare
  utc constant text := 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"';
  u dict.undos;
  told boolean;
begin
  select * into u from dict.undos where undo_run_id = new.id for update;
  if not found then
    return null;
  end if;
  if new.closed_at is null then
    -- Opened again by workflow.retry.
    update dict.undos set ended_at = null, outcome = null where undo_run_id = new.id;
    return null;
  end if;
  -- Where its last step ended it (one of an older program without the outcome), that step has told as well.
  told := u.ended_at is not null;
  update dict.undos set ended_at = coalesce(ended_at, new.closed_at), outcome = coalesce(outcome, new.status)
  where undo_run_id = new.id returning * into u;
  if not told then
    perform dict.publish(u.participant, u.key_type, 'undo.done', jsonb_strip_nulls(jsonb_build_object(
        'runId', new.id, 'pageCount', u.pages_told, 'changeCount', u.changes_told,
        'code', case when new.status in ('FAILED', 'POISONED') then new.error ->> 'code' end))
      || jsonb_build_object('summary', jsonb_build_object(
        'participant', u.participant, 'keyType', u.key_type, 'undoneRun', u.run_id, 'by', u.by_whom, 'reason', u.reason,
        'outcome', u.outcome, 'keysUndone', u.keys_undone, 'keysLeft', u.keys_left,
        'askedAt', to_char(u.asked_at at time zone 'UTC', utc), 'endedAt', to_char(u.ended_at at time zone 'UTC', utc))),
      new.id);
  end if;
  return null;
end $$;
comment on function dict.undo_closed() is
  'Ends the row of an undo that was cancelled, terminated or poisoned, or that failed, and tells Core-Dict, in the transaction that closed the run; opens it with a retry.';
create trigger undo_closed after update of closed_at on workflow.runs
  for each row when (new.machine = 'undo' and (old.closed_at is null) <> (new.closed_at is null))
  execute function dict.undo_closed();

-- Those that ended before; of some the run is gone, and they ended in some way.
update dict.undos u set outcome = 'COMPLETED' where ended_at is not null;
update dict.undos u set ended_at = r.closed_at, outcome = r.status
from workflow.runs r where r.id = u.undo_run_id and r.closed_at is not null and u.ended_at is null;
update dict.undos u set ended_at = asked_at, outcome = 'TERMINATED'
where ended_at is null and not exists (select from workflow.runs r where r.id = u.undo_run_id);

-- A child whose key is open already ---------------------------------------------------------------------------------------------

alter table workflow.runs add column awaits uuid[], add column awaited_by uuid[];
comment on column workflow.runs.awaits is
  'Runs that were open already under the key of a child that this run asked for: waited for as its children are, but not its own: its close policy and its cancellation leave them alone.';
comment on column workflow.runs.awaited_by is 'The other end: runs whose child this one is taken for.';

create view workflow.children as
select r.parent_id, r.id as child_id, true as owned from workflow.runs r where r.parent_id is not null
union all
select r.id, a.child_id, false from workflow.runs r, unnest(r.awaits) as a (child_id);
comment on view workflow.children is
  'The children of each run: those it started (owned), and those it found open under the key it asked for, which it waits for and does not own.';

create function workflow.has_children_open(r workflow.runs, since timestamptz default 'infinity') returns boolean
language sql stable set search_path = pg_catalog, workflow as $$
  with recursive awaited(id, closed_at) as (
    select c.id, c.closed_at from workflow.runs c where c.id = any (r.awaits)
    union
    -- What takes over from a run that closed CONTINUED is that run still.
    select n.id, n.closed_at from workflow.runs n join awaited a on n.continued_from = a.id)
  select exists (select from workflow.runs c where c.parent_id = r.id and (c.closed_at is null or c.closed_at > since))
    or r.awaits is not null and exists (select from awaited where closed_at is null or closed_at > since)
$$;
comment on function workflow.has_children_open(workflow.runs, timestamptz) is
  'Whether a run has children that are open, or that closed after this moment; those it does not own count.';

create function workflow.await_open(parent uuid, child uuid) returns void
language plpgsql set search_path = pg_catalog, workflow as $$
begin
  if not exists (select from workflow.runs r join workflow.states s on s.machine = r.machine and s.version = r.machine_version
                 where r.id = parent and s.awaits_children) then
    return;
  end if;
  -- One at a time, for two that come to await each other at once would both not see it.
  perform pg_advisory_xact_lock(hashtext('dict-vsync await'));
  -- Who waits for the parent, or did start it, is not awaited: neither would ever end.
  if exists (
    with recursive above(id) as (
      select parent
      union
      select up.id from above join workflow.runs r on r.id = above.id, unnest(r.parent_id || r.awaited_by) as up (id)
      where up.id is not null)
    select from above where id = child) then
    return;
  end if;
  -- Written into the child's row, so that whoever closes it sees it. One that closed this moment has ended for the parent too.
  update workflow.runs set awaited_by = awaited_by || parent
  where id = child and closed_at is null and parent <> all (coalesce(awaited_by, '{}'));
  if found then
    update workflow.runs set awaits = awaits || child where id = parent;
  end if;
end $$;
comment on function workflow.await_open(uuid, uuid) is
  'Lets a run wait for an open one as for a child of its own, and be woken by its end. Nothing where its machine waits for no children, or where the two would wait for each other.';

create function workflow.wake_awaiting() returns trigger
language plpgsql security definer set search_path = pg_catalog, workflow as $$
declare
  p workflow.runs;
begin
  -- As workflow.close_run wakes the parent.
  for p in select * from workflow.runs where id = any (new.awaited_by) and closed_at is null order by id loop
    perform workflow.add_job(p.id, 'advance_run', workflow.now(), 'children:');
  end loop;
  return null;
end $$;
comment on function workflow.wake_awaiting() is 'Wakes the runs that wait for one that closed and is not their own.';
create trigger wake_awaiting after update of closed_at on workflow.runs
  for each row when (old.closed_at is null and new.closed_at is not null and new.awaited_by is not null)
  execute function workflow.wake_awaiting();

create function workflow.inherit_awaiting() returns trigger
language plpgsql set search_path = pg_catalog, workflow as $$
begin
  new.awaited_by := (select awaited_by from workflow.runs where id = new.continued_from);
  return new;
end $$;
comment on function workflow.inherit_awaiting() is 'A run that takes over from another is awaited in its place.';
create trigger inherit_awaiting before insert on workflow.runs
  for each row when (new.continued_from is not null) execute function workflow.inherit_awaiting();

-- As in 0010, and a parent's child that is open already is awaited.
create or replace function workflow.start_run(
  machine_name text, key text, run_input jsonb default '{}', by_whom text default session_user,
  correlation text default null, parent uuid default null, close_policy text default null, continues uuid default null)
returns uuid
language plpgsql security definer set search_path = pg_catalog, workflow as $$
declare
  n timestamptz := workflow.now();
  m workflow.machines;
  s workflow.states;
  r workflow.runs;
begin
  select * into m from workflow.machines where name = machine_name order by version desc limit 1;
  if not found then
    perform workflow.raise_error('DV_MACHINE_UNKNOWN', format('There is no machine "%s". Start a worker once: it stores its machines.', machine_name));
  end if;
  select * into s from workflow.states where machine = m.name and version = m.version and state = m.initial_state;
  loop
    insert into workflow.runs as i (machine, machine_version, workflow_key, state, input, started_by, correlation_id,
      parent_id, parent_close_policy, continued_from, wake_at, deadline, entered_at, created_at, updated_at)
    values (m.name, m.version, key, m.initial_state, run_input, by_whom,
      coalesce(correlation, replace(workflow.uuidv7()::text, '-', '')), parent, close_policy, continues, n, n + s.deadline, n, n, n)
    on conflict (workflow_key) where closed_at is null do nothing
    returning * into r;
    if found then
      perform workflow.log(r, 'CREATED', n, detail => jsonb_build_object('by', by_whom));
      if s.task is not null then
        perform workflow.add_first_jobs(array[r.id], array[s.task]);
      else
        -- A machine may begin with a wait or an end.
        perform workflow.go_on(workflow.settle(r, s), null, false);
      end if;
      return r.id;
    end if;
    select * into r from workflow.runs where workflow_key = key and closed_at is null;
    if found then
      if parent is not null and r.parent_id is distinct from parent then
        perform workflow.await_open(parent, r.id);
      end if;
      return r.id;
    end if;
    -- It closed between the two statements: try again.
  end loop;
end $$;

-- As in 0001, but for what counts as its children.
create or replace function workflow.settle(r workflow.runs, s workflow.states, continue_with jsonb default null)
returns workflow.runs
language plpgsql set search_path = pg_catalog, workflow as $$
declare
  n timestamptz := workflow.now();
  sig workflow.signals;
  took text;
begin
  if s.kind = 'terminal' then
    -- A cancelled run is not continued.
    if s.closes_as = 'CONTINUED' and r.cancel_requested_at is not null then
      select * into r from workflow.runs where id = r.id;
      perform workflow.close_run(r, 'CANCELLED');
    else
      perform workflow.close_run(r, s.closes_as);
      if s.closes_as = 'CONTINUED' then
        perform workflow.continue_run(r, continue_with);
      end if;
    end if;
    select * into r from workflow.runs where id = r.id;
    return r;
  end if;
  if s.kind <> 'wait' then
    return r;
  end if;

  select * into sig from workflow.signals
  where run_id = r.id and consumed_at is null and name = any (s.signals)
  order by id limit 1 for update;
  if found then
    update workflow.signals set consumed_at = n where id = sig.id;
    update workflow.runs
    set context = context || jsonb_build_object('signal', jsonb_strip_nulls(jsonb_build_object(
      'name', sig.name, 'payload', sig.payload, 'by', sig.sent_by, 'reason', sig.reason, 'at', sig.sent_at)))
    where id = r.id returning * into r;
    took := sig.name;
  elsif s.awaits_children and not workflow.has_children_open(r) then
    took := 'children_closed';
  elsif r.deadline <= n then
    took := 'timeout';
  else
    if r.status <> 'WAITING' then
      perform workflow.log(r, 'WAITING', n);
    end if;
    update workflow.runs set status = 'WAITING', wake_at = deadline, updated_at = n,
      claimed_by = null, claimed_at = null
    where id = r.id returning * into r;
    return r;
  end if;

  perform workflow.log(r, 'WOKEN', n, took, workflow.next_state(r, took));
  return workflow.enter(r, workflow.next_state(r, took), continue_with);
end $$;

-- As in 0011, but for what counts as its children, and for locks: a run whose mending needs one that somebody holds is
-- told as `not mended` after half a second, and does not keep the others from being mended.
create or replace function workflow.sweep() returns table (run_id uuid, what text)
language plpgsql security definer set search_path = pg_catalog, workflow set lock_timeout = '500ms' as $$
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
                  and not workflow.has_children_open(x, n - interval '5 seconds'))
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

-- What a step writes before it ends ------------------------------------------------------------------------------------------------

create function workflow.hold(run_id uuid, run_version bigint, worker text) returns void
language plpgsql security definer set search_path = pg_catalog, workflow as $$
begin
  perform workflow.fence(run_id, run_version, worker);
end $$;
comment on function workflow.hold(uuid, bigint, text) is
  'Keeps a claimed run from being taken over till the transaction ends; DV_FENCED when it was taken over or closed. For what a step writes before its end: a worker that was frozen would else write over what another has done.';

-- Locks -----------------------------------------------------------------------------------------------------------------------

-- A worker gives a heartbeat up after 3 s; the server must not go on waiting for the lock, one session more each time.
alter function workflow.heartbeat(text, text[]) set lock_timeout = '2s';

-- Backups ---------------------------------------------------------------------------------------------------------------------

-- As in 0002, but with bodies that Postgres has parsed: it knows then that the generated column entries.cid needs both, and
-- pg_dump writes them in that order. With bodies of text a dump could not be restored at all. Inlined as before.
do $$
begin
  execute format(
    'create or replace function dict.hmac_sha256(data bytea, key bytea) returns bytea
     language sql immutable parallel safe return %I.hmac(data, key, ''sha256''::text)',
    (select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'pgcrypto'));
end $$;
create or replace function dict.cid(request_id uuid, key_type text, key text, tax_id_number text, name text, trade_name text,
  participant text, branch text, account_number text, account_type text) returns bytea
language sql immutable parallel safe
return dict.hmac_sha256(
  replace(
    coalesce(key_type, '') || '&' || coalesce(key, '') || '&' || coalesce(tax_id_number, '') || '&' ||
    coalesce(name, '') || '&' || coalesce(trade_name, '') || '&' || coalesce(participant, '') || '&' ||
    coalesce(branch, '') || '&' || coalesce(account_number, '') || '&' || coalesce(account_type, ''),
    '\', '\\')::bytea,
  uuid_send(request_id));

-- As in 0002, and a snapshot of another cluster tells nothing of what happened in this one.
create or replace function dict.in_flight(changed xid8, at timestamptz, why text, r dict.rounds) returns boolean
language sql volatile as $$
  -- The margin is for what customers do on two sides; a load of the key base happens on one. A snapshot that this cluster
  -- has not reached came with a dump from another: the time tells what came after it.
  select dict.changed_since(changed, r.snapshot) or (at > r.settled_before and why is distinct from 'imported')
    or (at > r.snapshot_at and pg_snapshot_xmax(r.snapshot) > pg_snapshot_xmax(pg_current_snapshot()))
$$;

-- As in 0004, but for keys that were queued in another cluster.
create or replace function dict.settle_feed(most integer default 1000) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO, YMD' set lock_timeout = '1ms' as $$
declare
  s dict.feed_sources;
  fresh dict.feed_queue[];
  due dict.feed_queue[];
  refs dict.key_ref[];
  state text;
  settled integer := 0;
begin
  -- One at a time: two would look at the same keys.
  if not pg_try_advisory_xact_lock(hashtext('dict-vsync settle')) then
    return 0;
  end if;
  for s in select * from dict.feed_sources f where exists (select from dict.feed_queue q where q.source = f.name) loop
    begin
      with first as (
        select id from dict.feed_queue where source = s.name and settle_after is null order by id limit most),
      marked as (
        update dict.feed_queue q set settle_after = pg_snapshot_xmax(pg_current_snapshot())
        from first f where q.id = f.id returning q.*)
      select coalesce(array_agg((m.*)::dict.feed_queue), '{}') into fresh from marked m;
      select coalesce(array_agg((q.*)::dict.feed_queue), '{}') into due from (
        select * from dict.feed_queue q
        where q.source = s.name and (q.settle_after <= pg_snapshot_xmin(pg_current_snapshot())
          -- Not reached by this cluster: it came with a dump, and all that ran beside it then has ended.
          or q.settle_after > pg_snapshot_xmax(pg_current_snapshot()))
          and q.id <> all (array(select f.id from unnest(fresh) f))
        order by q.settle_after limit most) q;

      delete from dict.feed_rejects r where r.source = s.name and (r.participant, r.key_type, r.key) = ('', '', '');
      if exists (select from unnest(fresh || due) q where q.key is null and q.key_type is null and q.participant is null) then
        perform dict.feed_differing(s);
      end if;
      refs := array(
        select distinct (q.participant, q.key_type, q.key)::dict.key_ref from (
          select f.* from unnest(fresh) f where f.missed union all select d.* from unnest(due) d) q
        where coalesce(q.participant, q.key_type, q.key) is not null);
      -- What is looked at again is committed.
      s.several_tables := false;
      -- Few at a time: a key that is held keeps only these from being fed together.
      for i in 1 .. cardinality(refs) by 100 loop
        state := dict.feed_keys(s, refs[i:i + 99]);
        if state is not null then
          raise exception using errcode = state, message = 'the mapping is broken';
        end if;
      end loop;
      delete from dict.feed_queue where id = any (array(select d.id from unnest(due) d));
      settled := settled + cardinality(fresh) + cardinality(due);
    exception when others then
      -- The queue stays as it was, for when the mapping is mended.
      perform dict.note_broken(s.name, sqlstate);
    end;
  end loop;
  return settled;
end $$;

-- Rights ----------------------------------------------------------------------------------------------------------------------

revoke execute on function dict.verification_closed(), dict.undo_closed(), workflow.wake_awaiting(),
  workflow.hold(uuid, bigint, text) from public;

-- Without it a session's temporary schema comes first, for types: a domain there named as one of ours would run its check,
-- and so its maker's code, as the owner of the function.
do $$
declare
  f record;
begin
  for f in
    select p.oid::regprocedure as name, substr(setting, length('search_path=') + 1) as path
    from pg_proc p, unnest(p.proconfig) setting
    where p.pronamespace in ('dict'::regnamespace, 'workflow'::regnamespace) and p.prosecdef
      and setting like 'search\_path=%' and setting !~ '\mpg_temp\M'
  loop
    execute format('alter function %s set search_path = %s, pg_temp', f.name, f.path);
  end loop;
end $$;
