-- The workflow engine's tables: machines, runs, history, signals, workers, schedules. It knows nothing of Pix.
-- A run is a row. Its next step is a Graphile Worker job in the same database. Its history is append-only.
-- The functions are in src/engine/sql, one file each.

create table workflow.settings (
  name  text primary key,
  value text not null
);
comment on table workflow.settings is
  'What the SQL functions must know about the installation: graphile_worker_schema, the schema of Graphile Worker.';
insert into workflow.settings values ('graphile_worker_schema', 'graphile_worker');

-- Time ----------------------------------------------------------------------------------------------------------------


create table workflow.clock (
  one_row   boolean primary key default true check (one_row),
  offset_by interval not null default '0'
);
comment on table workflow.clock is 'How far workflow.now() differs from the real clock. 0 outside tests.';
insert into workflow.clock default values;

-- Machines ------------------------------------------------------------------------------------------------------------


create table workflow.machines (
  name              text not null,
  version           integer not null check (version > 0),
  initial_state     text not null,
  definition_sha256 text not null,
  created_at        timestamptz not null default clock_timestamp(),
  primary key (name, version)
);
comment on table workflow.machines is
  'Each machine in each version that a program has started with. Written when the program starts; a changed machine is a new version.';

create table workflow.states (
  machine          text not null,
  version          integer not null,
  state            text not null,
  kind             text not null check (kind in ('activity', 'loop', 'poll', 'wait', 'spawn', 'terminal')),
  task             text,
  -- Retry policy: attempt n+1 begins initial_interval × backoff^(n-1), at most max_interval, after attempt n failed.
  max_attempts     integer not null default 5 check (max_attempts > 0),
  initial_interval interval not null default '1 second',
  backoff          double precision not null default 2 check (backoff >= 1),
  max_interval     interval not null default '30 seconds',
  start_to_close   interval not null default '5 minutes',
  -- Polling: the delay before the n-th repetition is poll_initial × poll_backoff^n, at most poll_max.
  poll_initial     interval,
  poll_backoff     double precision check (poll_backoff >= 1),
  poll_max         interval,
  -- The time from entering a poll or wait state to its outcome `timeout`. Null: no limit.
  deadline         interval,
  -- A wait state: the signals that it accepts (each is an outcome), and whether the end of all children is an outcome.
  signals          text[] not null default '{}',
  awaits_children  boolean not null default false,
  -- A terminal state: the status with which the run closes.
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
  'Where each outcome of a state leads. The outcome `failure` is taken when the attempts are used up or an error is not retryable. If the state has no such outcome, the run closes FAILED.';

-- Runs ----------------------------------------------------------------------------------------------------------------


-- Its rows change every few seconds, so autovacuum must run much earlier than its default, 20% of the table.
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
  awaits              uuid[],
  awaited_by          uuid[],
  foreign key (machine, machine_version, state) references workflow.states (machine, version, state),
  check ((parent_id is null) or (parent_close_policy is not null)),
  check ((closed_at is null) = (status in ('PENDING', 'RUNNING', 'WAITING'))),
  check (closed_at is null or (claimed_by is null and wake_at is null))
) with (
  -- As long as the same worker continues a run, its steps write no indexed column. With room on the page such an update
  -- touches no index.
  fillfactor = 50,
  autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500, autovacuum_analyze_scale_factor = 0.05);
comment on table workflow.runs is 'One row per run of a machine. People read workflow.runs_view instead.';
comment on column workflow.runs.workflow_key is 'What the run is about. Unique among open runs, so that starting a run twice starts only one.';
comment on column workflow.runs.version is 'The fencing token: each claim raises it, and a step can commit only if it is unchanged.';
comment on column workflow.runs.wake_at is
  'When the next step is due, in workflow.now()''s time. While a step is running: when it was due, or when an earlier step was due that it followed immediately. Null: only a signal or a child''s end advances the run, or the run is closed.';
comment on column workflow.runs.failed_state is 'The state whose failure leads or led the run to its end. workflow.retry returns the run to this state.';
comment on column workflow.runs.awaits is
  'Runs that were already open under the key of a child that this run asked for. The run waits for them as for its children, but does not own them: its close policy and its cancellation do not affect them.';
comment on column workflow.runs.awaited_by is 'The reverse of awaits: the runs that wait for this run as for a child.';

create unique index runs_open_key on workflow.runs (workflow_key) where closed_at is null;
create index runs_key on workflow.runs (workflow_key, id);
create index runs_parent on workflow.runs (parent_id) where parent_id is not null;
create index runs_continued_from on workflow.runs (continued_from) where continued_from is not null;
create index runs_due on workflow.runs (wake_at) where closed_at is null and wake_at is not null;
create index runs_claimed on workflow.runs (claimed_by) where claimed_by is not null;
create index runs_failed on workflow.runs (closed_at) where status in ('FAILED', 'POISONED');
create index runs_closed on workflow.runs (closed_at) where closed_at is not null;

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
) with (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
comment on table workflow.history is
  'What happened to a run, append-only. An attempt is STARTED when it is claimed. It ends as COMPLETED, FAILED, RELEASED (the worker gave it back without using up an attempt) or ABANDONED (its worker died).';
create index history_run on workflow.history (run_id, id);

create table workflow.failures_to_log (
  id     bigint generated always as identity primary key,
  run_id uuid not null references workflow.runs (id) on delete cascade,
  status text not null check (status in ('FAILED', 'POISONED')),
  error  jsonb
);
comment on table workflow.failures_to_log is
  'Runs that ended FAILED or POISONED and are not in the log yet. A worker logs each once and deletes its row: a run can also end without a worker (by SQL, or by another worker''s sweep).';
create index failures_to_log_run on workflow.failures_to_log (run_id);

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
comment on table workflow.signals is 'The signals that people, schedules and other runs sent to a run: approve, reject, tick.';
create index signals_pending on workflow.signals (run_id, id) where consumed_at is null;
-- For removing the signals of a run that is removed.
create index signals_run on workflow.signals (run_id);

-- Workers and schedules -----------------------------------------------------------------------------------------------


create table workflow.workers (
  id           text primary key,
  graphile_ids text[] not null default '{}',
  started_at   timestamptz not null default clock_timestamp(),
  heartbeat_at timestamptz not null default clock_timestamp(),
  stopped_at   timestamptz
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);
comment on table workflow.workers is 'Worker processes and their heartbeats, in real time, never in the tests'' time.';

create table workflow.schedules (
  name      text primary key,
  last_tick timestamptz not null
);
comment on table workflow.schedules is 'The last tick of each crontab line that was decided, so that each tick starts one run however many workers there are.';

create table workflow.schedule_ticks (
  schedule   text not null references workflow.schedules (name) on delete cascade,
  tick       timestamptz not null,
  outcome    text not null check (outcome in ('FIRED', 'SKIPPED')),
  decided_at timestamptz not null,
  primary key (schedule, tick)
);
comment on table workflow.schedule_ticks is 'What was decided about each tick: FIRED, or SKIPPED because a newer tick was due or the tick was too old.';

-- Guards: no statement, neither ours nor a person's, can break a machine ----------------------------------------------


create trigger guard_new_run before insert on workflow.runs
  for each row execute function workflow.guard_run();
-- Not for claims: they change nothing that the guard checks.
create trigger guard_run before update on workflow.runs
  for each row
  when (old.closed_at is not null
        or (old.id, old.machine, old.machine_version, old.workflow_key, old.state, old.status, old.closed_at)
           is distinct from
           (new.id, new.machine, new.machine_version, new.workflow_key, new.state, new.status, new.closed_at))
  execute function workflow.guard_run();

create trigger guard_history before update on workflow.history
  for each statement execute function workflow.guard_history();
create trigger guard_history_deletion after delete on workflow.history
  referencing old table as gone for each statement execute function workflow.guard_history_deletion();

create trigger wake_awaiting after update of closed_at on workflow.runs
  for each row when (old.closed_at is null and new.closed_at is not null and new.awaited_by is not null)
  execute function workflow.wake_awaiting();
create trigger inherit_awaiting before insert on workflow.runs
  for each row when (new.continued_from is not null) execute function workflow.inherit_awaiting();
