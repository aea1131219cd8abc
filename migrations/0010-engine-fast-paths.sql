-- Fast paths of the engine. What they do is what claim, complete_step and start_run of 0001 do, for the moves that need
-- nothing else: several runs in one statement, each run's row written once. Whatever else a move needs (children,
-- waits, timers, a parent to wake, a lock that somebody holds) is left to those, which every caller falls back on.
--
-- These statements look up single rows by key, in tables whose statistics may be from when they were empty: without
-- the settings of their functions they would be planned as scans of the whole table.

-- A step writes no indexed column of its run while the same worker goes on: with room on its page no index is touched.
alter table workflow.runs set (fillfactor = 50);

-- A claim changes nothing that the guard looks at.
drop trigger guard_run on workflow.runs;
create trigger guard_new_run before insert on workflow.runs
  for each row execute function workflow.guard_run();
create trigger guard_run before update on workflow.runs
  for each row
  when (old.closed_at is not null
        or (old.id, old.machine, old.machine_version, old.workflow_key, old.state, old.status, old.closed_at)
           is distinct from
           (new.id, new.machine, new.machine_version, new.workflow_key, new.state, new.status, new.closed_at))
  execute function workflow.guard_run();

comment on column workflow.runs.wake_at is
  'When the next step is due, in workflow.now()''s time; of a step under way: when it, or one it followed at once, was. Null: nothing but a signal or a child moves the run, or it is closed.';

-- Jobs ----------------------------------------------------------------------------------------------------------

create or replace function workflow.add_job(run_id uuid, task text, due timestamptz, key_prefix text default 'run:') returns void
language plpgsql security definer set search_path = pg_catalog, workflow
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan as $$
declare
  graphile text := (select value from workflow.settings where name = 'graphile_worker_schema');
  job_id bigint;
begin
  -- The job's payload is the run's id only: what to do is in the run. Its key keeps a run from having two.
  for try in 1..5 loop
    execute format(
      'select id from %I.add_job($1, payload => $2, run_at => $3, max_attempts => 25, job_key => $4)', graphile)
      into job_id
      using task, json_build_object('run', run_id),
            clock_timestamp() + greatest(due - workflow.now(), '0'), key_prefix || run_id;
    -- add_job answers null when another transaction holds the job of that key at this moment.
    exit when job_id is not null;
  end loop;
  if job_id is null then
    perform workflow.raise_error('DV_QUEUE_BUSY', format('The job of run %s is being changed by another transaction. Try again.', run_id));
  end if;
end $$;

-- The first jobs of runs that were created in this transaction, so that nobody else can hold their keys: run_ids[i]
-- begins with tasks[i].
create function workflow.add_first_jobs(run_ids uuid[], tasks text[]) returns void
language plpgsql security definer set search_path = pg_catalog, workflow
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan as $$
declare
  graphile text := (select value from workflow.settings where name = 'graphile_worker_schema');
begin
  execute format(
    'select from %1$I.add_jobs(array(
       select row(task, json_build_object(''run'', id), null, clock_timestamp(), 25, ''run:'' || id, null, null)::%1$I.job_spec
       from unnest($1, $2) as first (id, task)))', graphile)
    using run_ids, tasks;
end $$;

-- Steps ---------------------------------------------------------------------------------------------------------

-- A claimed step as workers are given it.
create function workflow.step_of(r workflow.runs, s workflow.states) returns jsonb
language sql stable as $$
  select jsonb_build_object(
    'id', r.id, 'machine', r.machine, 'machineVersion', r.machine_version, 'workflowKey', r.workflow_key,
    'state', r.state, 'kind', s.kind, 'task', s.task, 'version', r.version, 'attempt', r.attempt, 'polls', r.polls,
    'maxAttempts', s.max_attempts, 'input', r.input, 'context', r.context, 'correlationId', r.correlation_id,
    'enteredAt', r.entered_at, 'deadline', r.deadline, 'parentId', r.parent_id, 'error', r.error,
    'failedState', r.failed_state, 'startToCloseMs', extract(epoch from s.start_to_close) * 1000)
$$;

create or replace function workflow.go_on(r workflow.runs, worker text, stay boolean) returns jsonb
language plpgsql set search_path = pg_catalog, workflow as $$
declare
  n timestamptz := workflow.now();
  s workflow.states;
begin
  if r.closed_at is not null then
    return null;
  end if;
  if r.cancel_requested_at is not null then
    perform workflow.close_run(r, 'CANCELLED');
    return null;
  end if;
  if r.wake_at is null then
    return null;
  end if;
  -- 2 ms: a timer's job may come that much early, and another hop through the queue costs more.
  if not stay or r.wake_at > n + interval '2 milliseconds' or r.status = 'WAITING' then
    perform workflow.add_job(r.id, workflow.job_task(r), r.wake_at);
    return null;
  end if;

  update workflow.runs set
    status = 'RUNNING', version = r.version + 1, attempt = r.attempt + 1, claimed_by = worker, claimed_at = n, updated_at = n
  where id = r.id returning * into r;
  perform workflow.log(r, 'STARTED', n);
  select * into s from workflow.states
  where machine = r.machine and version = r.machine_version and state = r.state;
  return workflow.step_of(r, s);
end $$;

create function workflow.claim_many(run_ids uuid[], worker text) returns table (run_id uuid, next jsonb)
language plpgsql security definer set search_path = pg_catalog, workflow
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan as $$
declare
  n timestamptz := workflow.now();
begin
  return query
  with locked as materialized (
    -- By their ids and nothing else. Never waits while it holds others.
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
  'Claims the due steps of several runs for a worker, as workflow.claim does for one. Returns those that took no more than that; ask workflow.claim for the others.';

create function workflow.complete_many(worker text, steps jsonb, stay boolean) returns table (run_id uuid, next jsonb)
language plpgsql security definer set search_path = pg_catalog, workflow
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan as $$
declare
  n timestamptz := workflow.now();
begin
  return query
  with locked as materialized (
    -- By their ids and nothing else. Never waits while it holds others.
    select r.*, a.place, a.result, a.version as claimed_version
    from rows from (jsonb_to_recordset(steps) as (id uuid, version bigint, result jsonb)) with ordinality
      as a (id, version, result, place)
    join workflow.runs r on r.id = a.id
    for update of r skip locked
  ), ended as (
    select r.place, r.result, r.id, r.version, r.state, r.attempt, t.outcome, x.state as target, x.closes_as, x.deadline,
      x.kind = 'terminal' as closes,
      -- The error of an attempt that a later one made good is forgotten; that of a failure path stays.
      coalesce(r.result -> 'error', case when r.failed_state is not null then r.error end) as error,
      case when r.result -> 'error' is not null then r.state else r.failed_state end as failed_state
    from locked r
    join workflow.states s on s.machine = r.machine and s.version = r.machine_version and s.state = r.state
    join workflow.transitions t on t.machine = r.machine and t.version = r.machine_version and t.state = r.state
      and t.outcome = r.result ->> 'outcome'
    join workflow.states x on x.machine = t.machine and x.version = t.version and x.state = t.next_state
    -- The compare-and-set: as this worker claimed it.
    where r.version = r.claimed_version and r.claimed_by = worker and r.closed_at is null
      and r.cancel_requested_at is null
      and not r.result ?| array['children', 'continueAsNew', 'wakeAfterMs']
      and (s.kind, t.outcome) not in (('poll', 'pending'), ('loop', 'again'))
      and (stay and x.task is not null
           or x.closes_as not in ('CONTINUED', 'FAILED') and r.parent_id is null and not exists (
             select from workflow.runs c
             where c.parent_id = r.id and c.closed_at is null and c.parent_close_policy <> 'ABANDON'))
  ), moved as (
    update workflow.runs r set
      state = e.target, status = coalesce(e.closes_as, 'RUNNING'), context = r.context || coalesce(e.result -> 'context', '{}'),
      version = case when e.closes then r.version else r.version + 1 end,
      attempt = case when e.closes then 0 else 1 end,
      polls = case when e.closes then r.polls else 0 end,
      error = e.error,
      failed_state = case when not e.closes then e.failed_state end,
      entered_at = case when e.closes then r.entered_at else n end,
      deadline = case when not e.closes then n + e.deadline end,
      wake_at = case when not e.closes then r.wake_at end,
      claimed_by = case when not e.closes then worker end,
      claimed_at = case when not e.closes then n end,
      closed_at = case when e.closes then n end,
      updated_at = n
    from ended e where r.id = e.id returning r.*
  ), written as (
    insert into workflow.history (run_id, version, event, state, attempt, outcome, next_state, at, worker, detail)
    select e.id, h.version, h.event, h.state, h.attempt, h.outcome, h.next_state, n, worker, h.detail
    from ended e, lateral (values
      (1, e.version, 'COMPLETED', e.state, e.attempt, e.outcome, e.target, e.result -> 'detail'),
      (2, case when e.closes then e.version else e.version + 1 end, case when e.closes then 'CLOSED' else 'STARTED' end,
       e.target, case when e.closes then 0 else 1 end, e.closes_as, null, null)
    ) as h (line, version, event, state, attempt, outcome, next_state, detail)
    order by e.place, h.line
  )
  select m.id, case when m.closed_at is null then workflow.step_of(m::workflow.runs, x) end from moved m
  join workflow.states x on x.machine = m.machine and x.version = m.machine_version and x.state = m.state;
end $$;
comment on function workflow.complete_many(text, jsonb, boolean) is
  'Ends several steps well, as workflow.complete_step does one: [{id, version, result}]. Returns those that led straight to a next step or to an end; the others it leaves as they were, for workflow.complete_step.';

create or replace function workflow.complete_step(run_id uuid, run_version bigint, worker text, result jsonb, stay boolean)
returns jsonb
language plpgsql security definer set search_path = pg_catalog, workflow as $$
declare
  n timestamptz;
  r workflow.runs;
  s workflow.states;
  took text := result ->> 'outcome';
  target text;
  wake timestamptz;
  child jsonb;
  started uuid[] := '{}';
  detail jsonb := result -> 'detail';
  straight jsonb;
begin
  if not result ?| array['children', 'continueAsNew', 'wakeAfterMs'] then
    select m.next into straight from workflow.complete_many(
      worker, jsonb_build_array(jsonb_build_object('id', run_id, 'version', run_version, 'result', result)), stay) m;
    if found then
      return straight;
    end if;
  end if;

  n := workflow.now();
  r := workflow.fence(run_id, run_version, worker);
  select * into s from workflow.states
  where machine = r.machine and version = r.machine_version and state = r.state;

  if s.kind = 'poll' and took = 'pending' and n >= r.deadline then
    took := 'timeout';
  end if;
  if s.kind = 'poll' and took = 'pending' then
    -- The exponent is capped: 2^64 s overflows an interval, and poll_max rules long before.
    wake := least(r.deadline, n + coalesce(
      (result ->> 'wakeAfterMs')::double precision * interval '1 millisecond',
      least(s.poll_initial * power(s.poll_backoff, least(r.polls, 30)), s.poll_max)));
  elsif s.kind = 'loop' and took = 'again' then
    wake := n + coalesce((result ->> 'wakeAfterMs')::double precision, 0) * interval '1 millisecond';
  else
    target := workflow.next_state(r, took);
  end if;

  for child in select * from jsonb_array_elements(coalesce(result -> 'children', '[]')) loop
    started := started || workflow.start_run(
      child ->> 'machine', child ->> 'key', coalesce(child -> 'input', '{}'), 'run ' || r.id, r.correlation_id,
      r.id, coalesce(child ->> 'policy', 'ABANDON'));
  end loop;
  if cardinality(started) > 0 then
    detail := coalesce(detail, '{}') || jsonb_build_object('children', to_jsonb(started));
  end if;

  perform workflow.log(r, 'COMPLETED', n, took, target, detail => detail);
  update workflow.runs set
    context = context || coalesce(result -> 'context', '{}'),
    -- The error of an attempt that a later one made good is forgotten; that of a failure path stays.
    error = coalesce(result -> 'error', case when failed_state is not null then error end),
    failed_state = case when result -> 'error' is not null then state else failed_state end,
    updated_at = n
  where id = r.id returning * into r;

  if target is null then
    update workflow.runs set
      attempt = 0, polls = polls + 1, wake_at = wake, claimed_by = null, claimed_at = null,
      -- A loop that gets on has not been kept waiting since it began.
      entered_at = case when s.kind = 'loop' then n else entered_at end
    where id = r.id returning * into r;
  else
    r := workflow.enter(r, target, result -> 'continueAsNew');
    if result ? 'wakeAfterMs' and r.status = 'RUNNING' then
      update workflow.runs set wake_at = n + (result ->> 'wakeAfterMs')::double precision * interval '1 millisecond'
      where id = r.id returning * into r;
    end if;
  end if;
  return workflow.go_on(r, worker, stay);
end $$;

-- Starts ----------------------------------------------------------------------------------------------------------

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
      return r.id;
    end if;
    -- It closed between the two statements: try again.
  end loop;
end $$;

create function workflow.start_runs(runs jsonb, by_whom text default session_user)
returns table (workflow_key text, run_id uuid)
language plpgsql security definer set search_path = pg_catalog, workflow
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  n timestamptz := workflow.now();
  fresh uuid[];
  tasks text[];
begin
  with created as (
    insert into workflow.runs (machine, machine_version, workflow_key, state, input, started_by, correlation_id,
      wake_at, deadline, entered_at, created_at, updated_at)
    select m.name, m.version, a.key, m.initial_state, coalesce(a.input, '{}'), coalesce(a.by, by_whom),
      replace(workflow.uuidv7()::text, '-', ''), n, n + s.deadline, n, n, n
    from jsonb_to_recordset(runs) as a (machine text, key text, input jsonb, by text)
    cross join lateral (
      select * from workflow.machines where name = a.machine order by version desc limit 1) m
    join workflow.states s on s.machine = m.name and s.version = m.version and s.state = m.initial_state
    where s.task is not null
    -- The same order for all: two of these at once wait for each other in one direction.
    order by a.key
    on conflict (workflow_key) where closed_at is null do nothing
    returning id, machine, machine_version, state, started_by
  ), written as (
    insert into workflow.history (run_id, version, event, state, attempt, at, detail)
    select c.id, 0, 'CREATED', c.state, 0, n, jsonb_build_object('by', c.started_by) from created c
  )
  select array_agg(c.id), array_agg(s.task) into fresh, tasks from created c
  join workflow.states s on s.machine = c.machine and s.version = c.machine_version and s.state = c.state;
  if fresh is not null then
    perform workflow.add_first_jobs(fresh, tasks);
  end if;
  return query
  select a.key, coalesce(
    (select r.id from workflow.runs r where r.workflow_key = a.key and r.closed_at is null),
    -- A machine that begins with a wait or an end, or that is unknown.
    workflow.start_run(a.machine, a.key, coalesce(a.input, '{}'), coalesce(a.by, by_whom)))
  from (select distinct on (key) * from jsonb_to_recordset(runs) as a (machine text, key text, input jsonb, by text)
        order by key) a;
end $$;
comment on function workflow.start_runs(jsonb, text) is
  'Starts runs, [{machine, key, input, by}], or finds the open ones with those workflow keys: workflow.start_run for many, at a fraction of its cost. In the caller''s transaction.';
