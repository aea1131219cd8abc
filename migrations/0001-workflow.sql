-- The workflow engine: machines, runs, history, signals, workers, schedules. Knows nothing of Pix.
-- A run is a row; its next step is a Graphile Worker job in the same database; its past is append-only.
-- The schema itself exists already: the migration runner keeps its own tables in it.

-- Errors of these functions: SQLSTATE DV000, DETAIL holds the stable code (DV_…), the message says what to do.
create function workflow.raise_error(code text, message text) returns void
language plpgsql as $$
begin
  raise exception using errcode = 'DV000', message = message, detail = code;
end $$;

create table workflow.settings (
  name  text primary key,
  value text not null
);
comment on table workflow.settings is
  'What the SQL side must know of the installation: graphile_worker_schema, the schema of Graphile Worker.';
insert into workflow.settings values ('graphile_worker_schema', 'graphile_worker');

-- Time ---------------------------------------------------------------------------------------------------------

create table workflow.clock (
  one_row   boolean primary key default true check (one_row),
  offset_by interval not null default '0'
);
insert into workflow.clock default values;
comment on table workflow.clock is 'How far workflow.now() stands from the real clock. 0 outside tests.';

create function workflow.now() returns timestamptz
language sql volatile set search_path = pg_catalog, workflow as $$
  select clock_timestamp() + offset_by from workflow.clock
$$;
comment on function workflow.now() is
  'The one clock of all workflows: the database''s, moved by workflow.clock (tests move it, nobody else).';

create function workflow.uuidv7() returns uuid
language sql volatile set search_path = pg_catalog as $$
  -- 48 bits of Unix milliseconds over a random v4; bits 52 and 53 turn version 4 into 7.
  select encode(
    set_bit(set_bit(
      overlay(uuid_send(gen_random_uuid())
              placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
              from 1 for 6),
      52, 1), 53, 1), 'hex')::uuid
$$;
comment on function workflow.uuidv7() is 'A UUID version 7 (RFC 9562): sorts by creation time. Postgres has its own from 18 on only.';

-- Machines -----------------------------------------------------------------------------------------------------

create table workflow.machines (
  name              text not null,
  version           integer not null check (version > 0),
  initial_state     text not null,
  definition_sha256 text not null,
  created_at        timestamptz not null default clock_timestamp(),
  primary key (name, version)
);
comment on table workflow.machines is
  'Each machine in each version that a run ever began with. Written when the program starts; a changed machine is a new version.';

create table workflow.states (
  machine          text not null,
  version          integer not null,
  state            text not null,
  kind             text not null check (kind in ('activity', 'loop', 'poll', 'wait', 'spawn', 'terminal')),
  task             text,
  -- Retry policy: attempt n+1 comes initial_interval × backoff^(n-1), at most max_interval, after attempt n failed.
  max_attempts     integer not null default 5 check (max_attempts > 0),
  initial_interval interval not null default '1 second',
  backoff          double precision not null default 2 check (backoff >= 1),
  max_interval     interval not null default '30 seconds',
  start_to_close   interval not null default '5 minutes',
  -- Polling: the n-th repetition comes poll_initial × poll_backoff^n, at most poll_max, later.
  poll_initial     interval,
  poll_backoff     double precision check (poll_backoff >= 1),
  poll_max         interval,
  -- From entering a poll or wait state to its outcome `timeout`. Null: no limit.
  deadline         interval,
  -- A wait state: the signals it takes (each is an outcome), and whether the end of all children is one.
  signals          text[] not null default '{}',
  awaits_children  boolean not null default false,
  -- A terminal state: the status the run closes with.
  closes_as        text,
  primary key (machine, version, state),
  foreign key (machine, version) references workflow.machines (name, version) on delete cascade,
  check ((kind in ('wait', 'terminal')) = (task is null)),
  check ((kind = 'terminal') = (closes_as is not null)),
  check (closes_as in ('COMPLETED', 'COMPLETED_WITH_QUARANTINE', 'REJECTED', 'CONTINUED', 'FAILED')),
  check (kind <> 'wait' or awaits_children or cardinality(signals) > 0),
  check ((kind = 'poll') = (poll_initial is not null and poll_backoff is not null and poll_max is not null))
);
comment on table workflow.states is 'The states of each machine, with their task, retry policy and time limits.';

alter table workflow.machines add foreign key (name, version, initial_state)
  references workflow.states (machine, version, state) deferrable initially deferred;

create table workflow.transitions (
  machine    text not null,
  version    integer not null,
  state      text not null,
  outcome    text not null,
  next_state text not null,
  primary key (machine, version, state, outcome),
  foreign key (machine, version, state) references workflow.states (machine, version, state) on delete cascade,
  foreign key (machine, version, next_state) references workflow.states (machine, version, state) on delete cascade
);
comment on table workflow.transitions is
  'Where each outcome of a state leads. The outcome `failure` is taken when the attempts are used up or an error is not retryable; a state without it fails the run.';

-- Runs ---------------------------------------------------------------------------------------------------------

create table workflow.runs (
  id                  uuid primary key default workflow.uuidv7(),
  machine             text not null,
  machine_version     integer not null,
  workflow_key        text not null,
  state               text not null,
  status              text not null default 'PENDING' check (status in (
    'PENDING', 'RUNNING', 'WAITING',
    'COMPLETED', 'COMPLETED_WITH_QUARANTINE', 'REJECTED', 'CONTINUED',
    'FAILED', 'POISONED', 'CANCELLED', 'TERMINATED')),
  input               jsonb not null default '{}',
  context             jsonb not null default '{}',
  attempt             integer not null default 0,
  polls               integer not null default 0,
  version             bigint not null default 0,
  wake_at             timestamptz,
  deadline            timestamptz,
  entered_at          timestamptz not null,
  claimed_by          text,
  claimed_at          timestamptz,
  cancel_requested_at timestamptz,
  parent_id           uuid references workflow.runs (id) on delete set null,
  parent_close_policy text check (parent_close_policy in ('ABANDON', 'TERMINATE', 'REQUEST_CANCEL')),
  continued_from      uuid references workflow.runs (id) on delete set null,
  started_by          text not null,
  correlation_id      text not null,
  error               jsonb,
  failed_state        text,
  created_at          timestamptz not null,
  updated_at          timestamptz not null,
  closed_at           timestamptz,
  foreign key (machine, machine_version, state) references workflow.states (machine, version, state),
  check ((parent_id is null) or (parent_close_policy is not null)),
  check ((closed_at is null) = (status in ('PENDING', 'RUNNING', 'WAITING'))),
  check (closed_at is null or (claimed_by is null and wake_at is null))
);
comment on table workflow.runs is 'One run of a machine. See workflow.runs_view for reading.';
comment on column workflow.runs.workflow_key is 'What the run is about; unique among open runs, so that starting twice is starting once.';
comment on column workflow.runs.version is 'The fencing token: each claim raises it, and a step''s commit must still find it.';
comment on column workflow.runs.wake_at is 'When the next step is due, in workflow.now()''s time. Null: nothing but a signal or a child moves the run, or it is closed.';
comment on column workflow.runs.failed_state is 'The state whose failure leads or led the run to its end; workflow.retry goes back there.';

create unique index runs_open_key on workflow.runs (workflow_key) where closed_at is null;
create index runs_key on workflow.runs (workflow_key, id);
create index runs_parent on workflow.runs (parent_id) where parent_id is not null;
create index runs_continued_from on workflow.runs (continued_from) where continued_from is not null;
create index runs_due on workflow.runs (wake_at) where closed_at is null and wake_at is not null;
create index runs_claimed on workflow.runs (claimed_by) where claimed_by is not null;

create table workflow.history (
  id         bigint generated always as identity primary key,
  run_id     uuid not null references workflow.runs (id) on delete cascade,
  version    bigint not null,
  event      text not null check (event in (
    'CREATED', 'STARTED', 'COMPLETED', 'FAILED', 'ABANDONED', 'WAITING', 'SIGNALLED', 'WOKEN',
    'CANCEL_REQUESTED', 'RETRIED', 'RELEASED', 'CLOSED')),
  state      text not null,
  attempt    integer not null,
  outcome    text,
  next_state text,
  at         timestamptz not null,
  worker     text,
  error      jsonb,
  detail     jsonb
);
comment on table workflow.history is
  'What happened to a run, append-only: STARTED when an attempt is claimed, COMPLETED, FAILED, RELEASED (handed over by a stopping worker) or ABANDONED (its worker died) when it ends.';
create index history_run on workflow.history (run_id, id);

create table workflow.signals (
  id          bigint generated always as identity primary key,
  run_id      uuid not null references workflow.runs (id) on delete cascade,
  name        text not null,
  payload     jsonb not null default '{}',
  sent_by     text not null,
  reason      text,
  sent_at     timestamptz not null,
  consumed_at timestamptz
);
comment on table workflow.signals is 'What people and schedules told a run: approve, reject, tick.';
create index signals_pending on workflow.signals (run_id, id) where consumed_at is null;

create table workflow.workers (
  id           text primary key,
  graphile_ids text[] not null default '{}',
  started_at   timestamptz not null default clock_timestamp(),
  heartbeat_at timestamptz not null default clock_timestamp(),
  stopped_at   timestamptz
);
comment on table workflow.workers is 'Worker processes and their heartbeats, in real time (never the tests'' clock).';

create table workflow.schedules (
  name      text primary key,
  last_tick timestamptz not null
);
comment on table workflow.schedules is 'The last tick of each crontab line that was decided: one run a tick, however many workers.';

create table workflow.schedule_ticks (
  schedule   text not null references workflow.schedules (name) on delete cascade,
  tick       timestamptz not null,
  outcome    text not null check (outcome in ('FIRED', 'SKIPPED')),
  decided_at timestamptz not null,
  primary key (schedule, tick)
);
comment on table workflow.schedule_ticks is 'What became of each tick: FIRED, or SKIPPED because a newer one was due or it was too old.';

-- Guards: no statement, ours or a person's, breaks a machine ------------------------------------------------------

create function workflow.guard_run() returns trigger
language plpgsql set search_path = pg_catalog, workflow as $$
declare
  s workflow.states;
begin
  if tg_op = 'INSERT' then
    if not exists (select from workflow.machines m
                   where m.name = new.machine and m.version = new.machine_version and m.initial_state = new.state)
       or new.status <> 'PENDING' then
      perform workflow.raise_error('DV_TRANSITION_FORBIDDEN', format(
        'A run of %s version %s begins PENDING in the machine''s initial state. Start it with workflow.start_run.',
        new.machine, new.machine_version));
    end if;
    return new;
  end if;

  if (new.id, new.machine, new.machine_version, new.workflow_key) is distinct from
     (old.id, old.machine, old.machine_version, old.workflow_key) then
    perform workflow.raise_error('DV_TRANSITION_FORBIDDEN',
      'A run''s id, machine, version and workflow key never change. Start another run instead.');
  end if;

  if old.closed_at is not null then
    if new.closed_at is null then
      -- Only workflow.retry reopens: from a failure, in the state that failed.
      if old.status not in ('FAILED', 'POISONED') or new.state <> coalesce(old.failed_state, old.state) then
        perform workflow.raise_error('DV_RUN_CLOSED', format('Run %s is closed (%s); only a failed run can be retried.', old.id, old.status));
      end if;
    else
      -- Its links may go: retention removes the runs they name.
      if to_jsonb(new) - array['parent_id', 'continued_from'] <> to_jsonb(old) - array['parent_id', 'continued_from'] then
        perform workflow.raise_error('DV_RUN_CLOSED', format('Run %s is closed (%s) and does not change any more.', old.id, old.status));
      end if;
      return new;
    end if;
  elsif new.state <> old.state and not exists (
       select from workflow.transitions t
       where t.machine = old.machine and t.version = old.machine_version
         and t.state = old.state and t.next_state = new.state) then
    perform workflow.raise_error('DV_TRANSITION_FORBIDDEN', format(
      'Machine %s version %s has no transition from %s to %s.', old.machine, old.machine_version, old.state, new.state));
  end if;

  select * into s from workflow.states
  where machine = new.machine and version = new.machine_version and state = new.state;
  -- FAILED, CANCELLED, TERMINATED and POISONED may end a run in any state; the other ends are states of the machine.
  if new.status in ('COMPLETED', 'COMPLETED_WITH_QUARANTINE', 'REJECTED', 'CONTINUED')
       and new.status is distinct from s.closes_as
     or s.kind = 'terminal' and new.closed_at is null
     or new.status = 'WAITING' and s.kind <> 'wait' then
    perform workflow.raise_error('DV_TRANSITION_FORBIDDEN', format(
      'Status %s does not go with state %s of machine %s version %s.', new.status, new.state, new.machine, new.machine_version));
  end if;
  return new;
end $$;

create trigger guard_run before insert or update on workflow.runs
  for each row execute function workflow.guard_run();

create function workflow.guard_history() returns trigger
language plpgsql set search_path = pg_catalog, workflow as $$
begin
  perform workflow.raise_error('DV_HISTORY_APPEND_ONLY', 'History is append-only: its rows are never changed.');
  return null;
end $$;

create trigger guard_history before update on workflow.history
  for each statement execute function workflow.guard_history();

-- Jobs ----------------------------------------------------------------------------------------------------------

create function workflow.add_job(run_id uuid, task text, due timestamptz, key_prefix text default 'run:') returns void
language plpgsql security definer set search_path = pg_catalog, workflow as $$
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
comment on function workflow.add_job(uuid, text, timestamptz, text) is
  'Adds (or moves) the one job of a run, or with another key prefix a nudge beside it. SECURITY DEFINER because Graphile Worker''s add_job needs its owner''s rights.';

create function workflow.job_task(r workflow.runs) returns text
language sql stable set search_path = pg_catalog, workflow as $$
  -- A job carries the name of the activity it will do first; a wait has none, its timer is `advance_run`.
  select coalesce(task, 'advance_run') from workflow.states
  where machine = r.machine and version = r.machine_version and state = r.state
$$;

create function workflow.log(r workflow.runs, event text, at timestamptz,
  outcome text default null, next_state text default null, error jsonb default null, detail jsonb default null,
  worker text default null) returns void
language sql set search_path = pg_catalog, workflow as $$
  insert into workflow.history (run_id, version, event, state, attempt, outcome, next_state, at, worker, error, detail)
  values (r.id, r.version, event, r.state, r.attempt, outcome, next_state, at, coalesce(worker, r.claimed_by), error, detail)
$$;

-- Closing --------------------------------------------------------------------------------------------------------

create function workflow.close_run(r workflow.runs, final_status text, final_error jsonb default null) returns void
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
    failed_state = case when final_status in ('FAILED', 'POISONED') then coalesce(r.failed_state, r.state) end
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

create function workflow.cancel_run(r workflow.runs, by_whom text, why text default null) returns void
language plpgsql set search_path = pg_catalog, workflow as $$
declare
  n timestamptz := workflow.now();
begin
  perform workflow.log(r, 'CANCEL_REQUESTED', n, detail => jsonb_strip_nulls(jsonb_build_object('by', by_whom, 'reason', why)));
  if r.claimed_by is null then
    perform workflow.close_run(r, 'CANCELLED');
  else
    -- The worker that holds it hears of it with its next heartbeat and closes it at the step's end.
    update workflow.runs set cancel_requested_at = n, updated_at = n where id = r.id;
  end if;
end $$;

-- Moving ---------------------------------------------------------------------------------------------------------

-- Enters `next_state` and goes on through whatever needs no activity: waits whose signal is there already, children
-- that have all ended, deadlines that have passed, terminal states. Returns the run as it then stands.
create function workflow.enter(r workflow.runs, new_state text, continue_with jsonb default null) returns workflow.runs
language plpgsql set search_path = pg_catalog, workflow as $$
declare
  n timestamptz := workflow.now();
  s workflow.states;
begin
  select * into strict s from workflow.states
  where machine = r.machine and version = r.machine_version and state = new_state;
  if s.kind = 'terminal' then
    r.state := new_state;
    r.attempt := 0;
  else
    update workflow.runs set
      state = new_state, status = 'RUNNING', attempt = 0, polls = 0, entered_at = n, updated_at = n,
      wake_at = n, deadline = n + s.deadline, claimed_by = null, claimed_at = null
    where id = r.id returning * into r;
  end if;
  return workflow.settle(r, s, continue_with);
end $$;

-- The run that takes over from one that closed CONTINUED: same key, the given input or the old one.
create function workflow.continue_run(r workflow.runs, new_input jsonb) returns void
language plpgsql set search_path = pg_catalog, workflow as $$
declare
  fresh workflow.runs;
  s workflow.states;
begin
  fresh.id := workflow.start_run(r.machine, r.workflow_key, coalesce(new_input, r.input),
    r.started_by, r.correlation_id, r.parent_id, r.parent_close_policy, r.id);
  -- Signals nobody has taken yet go to it; it may be waiting for one.
  update workflow.signals g set run_id = fresh.id where g.run_id = r.id and g.consumed_at is null;
  select * into fresh from workflow.runs where id = fresh.id;
  if found and fresh.status = 'WAITING' then
    select * into s from workflow.states
    where machine = fresh.machine and version = fresh.machine_version and state = fresh.state;
    perform workflow.go_on(workflow.settle(fresh, s), null, false);
  end if;
end $$;

create function workflow.settle(r workflow.runs, s workflow.states, continue_with jsonb default null)
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
  elsif s.awaits_children and not exists (
          select from workflow.runs c where c.parent_id = r.id and c.closed_at is null) then
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

create function workflow.next_state(r workflow.runs, took text) returns text
language plpgsql stable set search_path = pg_catalog, workflow as $$
declare
  result text;
begin
  select t.next_state into result from workflow.transitions t
  where t.machine = r.machine and t.version = r.machine_version and t.state = r.state and t.outcome = took;
  if result is null then
    perform workflow.raise_error('DV_OUTCOME_UNKNOWN', format(
      'State %s of machine %s version %s has no outcome "%s".', r.state, r.machine, r.machine_version, took));
  end if;
  return result;
end $$;

-- Claims the run for a worker when a step is due; null when nothing is to do now (somebody else has it, it waits, it
-- is closed). An open run that is due later gets its job again.
create function workflow.claim(run_id uuid, worker text) returns jsonb
language plpgsql security definer set search_path = pg_catalog, workflow as $$
declare
  r workflow.runs;
  s workflow.states;
begin
  select * into r from workflow.runs where id = run_id for update;
  if not found or r.closed_at is not null then
    return null;
  end if;
  if r.claimed_by is not null then
    -- A worker asks only for runs it is not working on: a claim of its own is one whose end got lost.
    if r.claimed_by <> worker and workflow.is_alive(r.claimed_by) then
      return null;
    end if;
    r := workflow.abandon(r);
  end if;
  select * into s from workflow.states
  where machine = r.machine and version = r.machine_version and state = r.state;
  if s.kind = 'wait' then
    r := workflow.settle(r, s);
  end if;
  return workflow.go_on(r, worker, true);
end $$;
comment on function workflow.claim(uuid, text) is
  'Claims a run''s due step for a worker: raises version and attempt, writes STARTED. Returns the step as JSON, or null.';

-- What follows a move: claim the next step for `worker`, or see to the run's one job.
create function workflow.go_on(r workflow.runs, worker text, stay boolean) returns jsonb
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
  return jsonb_build_object(
    'id', r.id, 'machine', r.machine, 'machineVersion', r.machine_version, 'workflowKey', r.workflow_key,
    'state', r.state, 'kind', s.kind, 'task', s.task, 'version', r.version, 'attempt', r.attempt, 'polls', r.polls,
    'maxAttempts', s.max_attempts, 'input', r.input, 'context', r.context, 'correlationId', r.correlation_id,
    'enteredAt', r.entered_at, 'deadline', r.deadline, 'parentId', r.parent_id, 'error', r.error,
    'failedState', r.failed_state, 'startToCloseMs', extract(epoch from s.start_to_close) * 1000);
end $$;

-- The run as claimed, locked, or DV_FENCED: the caller's step was taken over, its writes must roll back.
create function workflow.fence(run_id uuid, run_version bigint, worker text) returns workflow.runs
language plpgsql set search_path = pg_catalog, workflow as $$
declare
  r workflow.runs;
begin
  select * into r from workflow.runs
  where id = run_id and version = run_version and claimed_by = worker and closed_at is null for update;
  if not found then
    perform workflow.raise_error('DV_FENCED', format('Run %s was taken over or closed while this step worked; its writes are thrown away.', run_id));
  end if;
  return r;
end $$;

-- Ends a step well. `result`: {outcome, context?, detail?, error?, wakeAfterMs? (when the next step begins), children?: [{machine, key, input, policy}],
-- continueAsNew?: input}. Must be the last statement of the step's transaction. Returns the next step when it is
-- ready at once and `stay` holds, else null.
create function workflow.complete_step(run_id uuid, run_version bigint, worker text, result jsonb, stay boolean)
returns jsonb
language plpgsql security definer set search_path = pg_catalog, workflow as $$
declare
  n timestamptz := workflow.now();
  r workflow.runs := workflow.fence(run_id, run_version, worker);
  s workflow.states;
  took text := result ->> 'outcome';
  target text;
  wake timestamptz;
  child jsonb;
  started uuid[] := '{}';
  detail jsonb := result -> 'detail';
begin
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

-- Ends a step badly. `error`: {code, class, message, retryAt?, correlationId?}. Retried by the state's policy; used
-- up or not retryable: along the outcome `failure`, else the run closes FAILED.
create function workflow.fail_step(run_id uuid, run_version bigint, worker text, error jsonb, stay boolean)
returns jsonb
language plpgsql security definer set search_path = pg_catalog, workflow as $$
declare
  n timestamptz := workflow.now();
  r workflow.runs := workflow.fence(run_id, run_version, worker);
  s workflow.states;
  class text := error ->> 'class';
  retry_at timestamptz := (error ->> 'retryAt')::timestamptz;
  pause interval;
  burnt boolean := true;
  target text;
begin
  select * into s from workflow.states
  where machine = r.machine and version = r.machine_version and state = r.state;

  -- Being asked to wait is no failure: it costs no attempt, for an hour at the most.
  if class = 'rate_limited' and n < r.entered_at + interval '1 hour' then
    burnt := false;
    pause := greatest(coalesce(retry_at - n, s.max_interval), '10 milliseconds') * (1 + random() * 0.1);
  elsif class <> 'not_retryable' and r.attempt < s.max_attempts and r.cancel_requested_at is null then
    pause := least(s.initial_interval * power(s.backoff, least(r.attempt, 30) - 1), s.max_interval) * (1 + random() * 0.1);
    pause := greatest(pause, coalesce(retry_at - n, '0'));
  end if;

  if pause is not null then
    perform workflow.log(r, 'FAILED', n, 'retry', error => error);
    update workflow.runs u set
      attempt = case when burnt then u.attempt else u.attempt - 1 end,
      -- On a failure path the error that led there stays: it is the run's reason.
      error = case when u.failed_state is null then fail_step.error else u.error end,
      wake_at = n + pause, claimed_by = null, claimed_at = null, updated_at = n
    where id = r.id returning * into r;
    return workflow.go_on(r, worker, false);
  end if;

  if r.cancel_requested_at is not null then
    perform workflow.log(r, 'FAILED', n, 'cancelled', error => error);
    perform workflow.close_run(r, 'CANCELLED', error);
    return null;
  end if;
  select t.next_state into target from workflow.transitions t
  where t.machine = r.machine and t.version = r.machine_version and t.state = r.state and t.outcome = 'failure';
  perform workflow.log(r, 'FAILED', n, 'failure', target, error => error);
  if target is null then
    perform workflow.close_run(r, 'FAILED', error);
    return null;
  end if;
  update workflow.runs u set error = fail_step.error, failed_state = r.state where id = r.id returning * into r;
  return workflow.go_on(workflow.enter(r, target), worker, stay);
end $$;

-- Hands a claimed step back untouched: a stopping worker's clean way out, which burns no attempt.
create function workflow.release_step(run_id uuid, run_version bigint, worker text) returns void
language plpgsql security definer set search_path = pg_catalog, workflow as $$
declare
  n timestamptz := workflow.now();
  r workflow.runs := workflow.fence(run_id, run_version, worker);
begin
  perform workflow.log(r, 'RELEASED', n);
  update workflow.runs set attempt = attempt - 1, wake_at = n, claimed_by = null, claimed_at = null, updated_at = n
  where id = r.id returning * into r;
  perform workflow.go_on(r, worker, false);
end $$;

-- Ways in ---------------------------------------------------------------------------------------------------------

create function workflow.start_run(
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
      -- A machine may begin with a wait or an end.
      perform workflow.go_on(workflow.settle(r, s), null, false);
      return r.id;
    end if;
    select * into r from workflow.runs where workflow_key = key and closed_at is null;
    if found then
      return r.id;
    end if;
    -- It closed between the two statements: try again.
  end loop;
end $$;
comment on function workflow.start_run(text, text, jsonb, text, text, uuid, text, uuid) is
  'Starts a run, or returns the open one with that workflow key. In the caller''s transaction: a rollback starts nothing.';

create function workflow.find_run(name text) returns uuid
language plpgsql stable security definer set search_path = pg_catalog, workflow as $$
declare
  found_id uuid;
begin
  if name ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' then
    select id into found_id from workflow.runs where id = name::uuid;
  else
    select id into found_id from workflow.runs where workflow_key = name
    order by (closed_at is null) desc, id desc limit 1;
  end if;
  if found_id is null then
    perform workflow.raise_error('DV_RUN_NOT_FOUND', 'There is no such run. `dict-vsync list` shows what there is; name a run by its id or its workflow key.');
  end if;
  return found_id;
end $$;
comment on function workflow.find_run(text) is 'The id of the run with this id or workflow key (the open one, else the newest).';

create function workflow.signal(run_id uuid, signal_name text, payload jsonb default '{}',
  by_whom text default session_user, why text default null) returns void
language plpgsql security definer set search_path = pg_catalog, workflow as $$
declare
  n timestamptz := workflow.now();
  r workflow.runs;
  s workflow.states;
begin
  select * into r from workflow.runs where id = run_id for update;
  if not found then
    perform workflow.raise_error('DV_RUN_NOT_FOUND', format('There is no run %s.', run_id));
  end if;
  if r.closed_at is not null then
    perform workflow.raise_error('DV_RUN_CLOSED', format('Run %s is closed (%s) and takes no signal any more.', run_id, r.status));
  end if;
  insert into workflow.signals (run_id, name, payload, sent_by, reason, sent_at)
  values (r.id, signal_name, payload, by_whom, why, n);
  perform workflow.log(r, 'SIGNALLED', n, signal_name,
    detail => jsonb_strip_nulls(jsonb_build_object('by', by_whom, 'reason', why)));
  if r.claimed_by is null then
    select * into s from workflow.states
    where machine = r.machine and version = r.machine_version and state = r.state;
    if s.kind = 'wait' then
      r := workflow.settle(r, s);
      perform workflow.go_on(r, null, false);
    end if;
  end if;
end $$;
comment on function workflow.signal(uuid, text, jsonb, text, text) is
  'Gives a run a signal; a run that waits for it goes on at once. In the caller''s transaction.';

create function workflow.waits_for(run_id uuid, signal_name text) returns boolean
language sql stable security definer set search_path = pg_catalog, workflow as $$
  select exists (
    select from workflow.runs r
    join workflow.states s on (s.machine, s.version, s.state) = (r.machine, r.machine_version, r.state)
    where r.id = run_id and r.status = 'WAITING' and signal_name = any (s.signals))
$$;

create function workflow.cancel(run uuid, by_whom text default session_user, why text default null) returns text
language plpgsql security definer set search_path = pg_catalog, workflow as $$
declare
  r workflow.runs;
begin
  select * into r from workflow.runs where id = run for update;
  if not found then
    perform workflow.raise_error('DV_RUN_NOT_FOUND', format('There is no run %s.', run));
  end if;
  if r.closed_at is not null then
    perform workflow.raise_error('DV_RUN_CLOSED', format('Run %s is closed (%s): there is nothing to cancel.', run, r.status));
  end if;
  perform workflow.cancel_run(r, by_whom, why);
  return (select case when closed_at is null then 'CANCEL_REQUESTED' else status end from workflow.runs where id = run);
end $$;
comment on function workflow.cancel(uuid, text, text) is
  'Cancels an open run: at once, or at the end of the step it is in. Returns CANCELLED or CANCEL_REQUESTED. Errors: DV_RUN_NOT_FOUND, DV_RUN_CLOSED.';

create function workflow.retry(run uuid, by_whom text default session_user, why text default null) returns text
language plpgsql security definer set search_path = pg_catalog, workflow as $$
declare
  n timestamptz := workflow.now();
  r workflow.runs;
  s workflow.states;
begin
  select * into r from workflow.runs where id = run for update;
  if not found then
    perform workflow.raise_error('DV_RUN_NOT_FOUND', format('There is no run %s.', run));
  end if;
  if r.status not in ('FAILED', 'POISONED') then
    perform workflow.raise_error('DV_RUN_NOT_FAILED', format('Run %s is %s; only a FAILED or POISONED run can be retried.', run, r.status));
  end if;
  select * into s from workflow.states
  where machine = r.machine and version = r.machine_version and state = coalesce(r.failed_state, r.state);
  if s.kind = 'terminal' then
    perform workflow.raise_error('DV_RUN_NOT_RETRYABLE', format('Run %s ended in %s by its machine''s own decision. Start a new run.', run, s.state));
  end if;
  begin
    update workflow.runs set
      state = s.state, status = 'RUNNING', closed_at = null, attempt = 0, polls = 0, error = null, failed_state = null,
      entered_at = n, deadline = n + s.deadline, wake_at = n, updated_at = n
    where id = run returning * into r;
  exception when unique_violation then
    perform workflow.raise_error('DV_RUN_KEY_OPEN', format('Another open run has the key %s. Wait for it or cancel it, then retry.', r.workflow_key));
  end;
  perform workflow.log(r, 'RETRIED', n, detail => jsonb_strip_nulls(jsonb_build_object('by', by_whom, 'reason', why)));
  perform workflow.go_on(r, null, false);
  return r.state;
end $$;
comment on function workflow.retry(uuid, text, text) is
  'Opens a FAILED or POISONED run again in the state it failed in, and returns that state. Errors: DV_RUN_NOT_FOUND, DV_RUN_NOT_FAILED, DV_RUN_NOT_RETRYABLE, DV_RUN_KEY_OPEN.';

-- Workers and recovery ----------------------------------------------------------------------------------------------

create function workflow.is_alive(worker text) returns boolean
language sql stable set search_path = pg_catalog, workflow as $$
  -- Five missed heartbeats (one every 3 s).
  select exists (select from workflow.workers
                 where id = worker and stopped_at is null and heartbeat_at > clock_timestamp() - interval '15 seconds')
$$;

create function workflow.heartbeat(worker text, graphile_pools text[])
returns table (run_id uuid, run_version bigint, cancel boolean)
language sql security definer set search_path = pg_catalog, workflow as $$
  -- A worker that was silent for a while and taken for dead is back.
  insert into workflow.workers (id, graphile_ids) values (worker, graphile_pools)
  on conflict (id) do update
    set heartbeat_at = clock_timestamp(), graphile_ids = excluded.graphile_ids, stopped_at = null;
  select id, version, cancel_requested_at is not null from workflow.runs where claimed_by = worker
$$;
comment on function workflow.heartbeat(text, text[]) is
  'Says that a worker is alive; returns the runs it has claimed, and which of them somebody wants cancelled.';

create function workflow.abandon(r workflow.runs) returns workflow.runs
language plpgsql set search_path = pg_catalog, workflow as $$
declare
  n timestamptz := workflow.now();
begin
  perform workflow.log(r, 'ABANDONED', n);
  update workflow.runs set wake_at = n, claimed_by = null, claimed_at = null, updated_at = n
  where id = r.id returning * into r;
  return r;
end $$;

-- Frees what silent workers held and gives a job to each due run without one. Returns what it mended.
create function workflow.sweep() returns table (run_id uuid, what text)
language plpgsql security definer set search_path = pg_catalog, workflow as $$
declare
  graphile text := (select value from workflow.settings where name = 'graphile_worker_schema');
  silent text[];
  r workflow.runs;
begin
  -- One sweeper at a time is enough.
  if not pg_try_advisory_xact_lock(hashtext('dict-vsync sweep')) then
    return;
  end if;
  with gone as (
    update workflow.workers set stopped_at = clock_timestamp()
    where stopped_at is null and heartbeat_at <= clock_timestamp() - interval '15 seconds'
    returning graphile_ids)
  select array_agg(g) into silent from gone, unnest(graphile_ids) g;
  if silent is not null then
    execute format('select %I.force_unlock_workers($1)', graphile) using silent;
  end if;
  for r in select * from workflow.runs x
           where x.claimed_by is not null and not workflow.is_alive(x.claimed_by) for update skip locked loop
    perform workflow.go_on(workflow.abandon(r), null, false);
    run_id := r.id; what := 'abandoned'; return next;
  end loop;
  for r in execute format(
    'select r.* from workflow.runs r
     where r.closed_at is null and r.claimed_by is null and r.wake_at < workflow.now() - interval ''5 seconds''
       and not exists (
         select from %I.jobs j
         where j.key = ''run:'' || r.id
           -- A job that Graphile Worker gave up, or puts off after its own failures, is as good as none.
           and (j.locked_at is not null or j.attempts < j.max_attempts and j.run_at <= clock_timestamp()))
     for update of r skip locked', graphile) loop
    perform workflow.go_on(r, null, false);
    run_id := r.id; what := 'without job'; return next;
  end loop;
  delete from workflow.workers where stopped_at < clock_timestamp() - interval '7 days';
end $$;
comment on function workflow.sweep() is
  'Recovery: runs and jobs of workers silent for 15 s go back to the queue, due runs without a job get one.';

-- Schedules ----------------------------------------------------------------------------------------------------------

create function workflow.take_tick(schedule_name text, ticks timestamptz[], newest_age interval) returns timestamptz
language plpgsql security definer set search_path = pg_catalog, workflow as $$
declare
  n timestamptz := workflow.now();
  last timestamptz;
  newest timestamptz;
begin
  select last_tick into last from workflow.schedules where name = schedule_name for update;
  select max(t) into newest from unnest(ticks) t where t > last and t <= n;
  if newest is null then
    return null;
  end if;
  insert into workflow.schedule_ticks (schedule, tick, outcome, decided_at)
  select schedule_name, t, case when t = newest and t > n - newest_age then 'FIRED' else 'SKIPPED' end, n
  from unnest(ticks) t where t > last and t <= n
  on conflict do nothing;
  update workflow.schedules set last_tick = newest where name = schedule_name;
  return case when newest > n - newest_age then newest end;
end $$;
comment on function workflow.take_tick(text, timestamptz[], interval) is
  'Decides the due ticks of a schedule, once for all workers: of those after the last one the newest fires if it is younger than the limit, the others are SKIPPED. Returns the tick to fire, or null.';

-- Tests' clock ---------------------------------------------------------------------------------------------------------

create function workflow.advance_clock(by_how_much interval) returns void
language plpgsql set search_path = pg_catalog, workflow as $$
declare
  r workflow.runs;
begin
  update workflow.clock set offset_by = offset_by + by_how_much;
  for r in select * from workflow.runs where closed_at is null and claimed_by is null and wake_at is not null loop
    perform workflow.add_job(r.id, workflow.job_task(r), r.wake_at);
  end loop;
end $$;
comment on function workflow.advance_clock(interval) is 'For tests: moves workflow.now() and the timers of all open runs with it.';

-- Reading ----------------------------------------------------------------------------------------------------------------

create view workflow.runs_view as
select r.id, r.machine, r.machine_version, r.workflow_key, r.status, r.state, r.attempt, s.max_attempts,
  case when r.closed_at is not null then null
       when r.claimed_by is not null then 'works in ' || r.state
       when r.status = 'WAITING' and s.awaits_children then 'its children'
       when r.status = 'WAITING' then 'signal ' || array_to_string(s.signals, ' or ')
       when r.attempt > 0 then 'attempt ' || r.attempt + 1 || ' of ' || r.state
       else 'its turn for ' || r.state end as waits_for,
  r.wake_at, r.deadline, r.claimed_by, r.error ->> 'code' as error_code, r.error ->> 'message' as error_message,
  r.failed_state, r.parent_id, r.continued_from, r.started_by, r.correlation_id, r.input,
  r.created_at, r.updated_at, r.closed_at,
  coalesce(r.closed_at, workflow.now()) - r.created_at as duration
from workflow.runs r
join workflow.states s on (s.machine, s.version, s.state) = (r.machine, r.machine_version, r.state);
comment on view workflow.runs_view is 'Runs as a person reads them: status, state, what each waits for, its last error.';
