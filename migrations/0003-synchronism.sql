-- Synchronism with DICT: verifications, reconciliations with what they found and changed, undos, deadlines and DICT's
-- rate limits.
-- The functions are in src/dict/*/sql, one file each.

-- Verifications -------------------------------------------------------------------------------------------------------


create table dict.verifications (
  run_id      uuid primary key,
  participant text not null,
  key_types   text[] not null,
  started_at  timestamptz not null,
  ended_at    timestamptz not null,
  outcome     text not null check (outcome in ('IN_SYNC', 'OUT_OF_SYNC', 'INCOMPLETE')),
  results     jsonb not null
);
comment on table dict.verifications is
  'One row per verification: for each key type OK, NOK or ERROR, with the VSync sent. INCOMPLETE: a key type could not be verified.';
create index verifications_latest on dict.verifications (participant, started_at desc);

create table dict.sync_verifications (
  id             uuid primary key default workflow.uuidv7(),
  run_id         uuid not null,
  purpose        text not null check (purpose in ('VERIFICATION', 'CONFIRMATION')),
  participant    text not null,
  key_type       text not null,
  vsync          text not null,
  entries        bigint not null,
  asked_at       timestamptz not null,
  snapshot       pg_snapshot not null default pg_current_snapshot(),
  answered_at    timestamptz,
  result         text check (result in ('OK', 'NOK', 'ERROR')),
  dict_id        text,
  correlation_id text,
  error_code     text
);
comment on table dict.sync_verifications is
  'One row each time a VSync is sent to DICT, written before the call (the intent) and completed with DICT''s answer. The auditor''s proof of synchronism.';
comment on column dict.sync_verifications.snapshot is 'The snapshot of the statement that read the VSync. An OK proves synchronism in this snapshot, and a replay of the event logs may begin here.';
create index sync_verifications_run on dict.sync_verifications (run_id);
create index sync_verifications_latest on dict.sync_verifications (participant, key_type, asked_at desc);
-- Finds the last OK quickly, even if thousands of NOKs follow it.
create index sync_verifications_ok on dict.sync_verifications (participant, key_type, answered_at desc) where result = 'OK';
create index sync_verifications_asked on dict.sync_verifications (asked_at);

-- Reconciliations -----------------------------------------------------------------------------------------------------


create table dict.reconciliations (
  run_id          uuid primary key,
  participant     text not null,
  key_type        text not null,
  started_at      timestamptz not null,
  ended_at        timestamptz,
  outcome         text,
  reason          text,
  rounds          integer not null default 0,
  vsync_before    text not null,
  entries_before  bigint not null,
  vsync_after     text,
  entries_after   bigint,
  dict_only_cids  bigint not null default 0,
  local_only_cids bigint not null default 0,
  keys_added      bigint not null default 0,
  keys_corrected  bigint not null default 0,
  keys_removed    bigint not null default 0,
  keys_in_flight  bigint not null default 0,
  quarantined     bigint not null default 0,
  approved_by     text,
  approved_why    text,
  approved_set    text,
  keys_registered bigint not null default 0,
  keys_held       bigint not null default 0,
  keys_unsure     bigint not null default 0,
  pages_published      integer not null default 0,
  changes_published    bigint not null default 0
);
comment on table dict.reconciliations is 'One row per reconciliation: what it found and what it did, for auditors.';
comment on column dict.reconciliations.keys_held is 'The number of held keys that its last round left alone.';
comment on column dict.reconciliations.keys_unsure is
  'The number of local keys that its last round left alone for a person to decide, because nothing proves that DICT does not have them.';
create index reconciliations_latest on dict.reconciliations (participant, key_type, started_at desc);
create index reconciliations_ended on dict.reconciliations (ended_at);

create table dict.rounds (
  run_id          uuid not null references dict.reconciliations (run_id) on delete cascade,
  round           integer not null,
  snapshot        pg_snapshot not null,
  snapshot_at     timestamptz not null,
  margin_starts_at  timestamptz not null,
  found_by        text check (found_by in ('EVENT_LOG', 'FILE')),
  found_by_reason      text,
  set_hash        text,
  dict_only_cids  bigint,
  local_only_cids bigint,
  file_cids       bigint,
  file_duplicates bigint,
  compared_at     timestamptz,
  approved_by     text,
  approved_why    text,
  approved_at     timestamptz,
  approval_threshold bigint,
  file_id         uuid,
  approval_reasons   text[] not null default '{}',
  primary key (run_id, round)
);
comment on table dict.rounds is
  'One row per round of a reconciliation: the snapshot, taken before the CID file was requested, and the frozen set that the comparison found.';
comment on column dict.rounds.snapshot is 'What is newer than this is in flight. A round that uses the file of an earlier round has that round''s snapshot.';
comment on column dict.rounds.file_id is 'The row of dict.cid_files that the round compares with. An earlier round may have asked for it.';
create index rounds_file on dict.rounds (file_id) where file_id is not null;
comment on column dict.rounds.margin_starts_at is 'The snapshot''s time minus IN_FLIGHT_MARGIN_SECONDS. What changed after this time is in flight, even if the snapshot sees it.';
comment on column dict.rounds.found_by is 'How the round found what differs: by replaying both event logs since the last OK, or by comparing with DICT''s CID file. found_by_reason says why.';
comment on column dict.rounds.set_hash is
  'The hash of what is planned, by which a person approves it: dict.hash_plan().';
comment on column dict.rounds.approval_threshold is
  'MANUAL_APPROVAL_THRESHOLD of the worker that planned the round. More divergent CIDs than this, over all rounds, need a person''s approval.';
comment on column dict.rounds.approval_reasons is
  'Why the round needs a person''s approval: CIDS (more than the threshold), DAY (APPROVAL_DAILY_KEYS), SHARE (APPROVAL_BASE_PERCENT), OWNER (a correction changes the owner), UNSEEN (too many to ask DICT before, so a change of owner cannot be excluded). Empty: none is needed.';

create table dict.cid_files (
  id            uuid primary key default workflow.uuidv7(),
  run_id        uuid not null references dict.reconciliations (run_id) on delete cascade,
  round         integer not null,
  asked_at      timestamptz not null,
  dict_id       text,
  status        text,
  bytes         bigint,
  sha256        text,
  creation_time timestamptz,
  refused_code  text
);
comment on table dict.cid_files is
  'Each CID file that was requested. The row is the intent, written before the call. DICT gives 40 files a day and accepts no idempotency key, so a crash during the call may cost one more. A file that came too late for its round may be used by a later one.';
create index cid_files_run on dict.cid_files (run_id);
create index cid_files_asked on dict.cid_files (asked_at);

create table dict.divergences (
  run_id         uuid not null references dict.reconciliations (run_id) on delete cascade,
  round          integer not null,
  cid            bytea not null,
  side           text not null check (side in ('DICT_ONLY', 'LOCAL_ONLY')),
  key            text,
  decision       text not null default 'PENDING' check (decision in (
    'PENDING', 'ADDED', 'CORRECTED', 'REMOVED', 'REGISTERED', 'IN_FLIGHT', 'HELD', 'SUPERSEDED', 'REFUSED', 'QUARANTINED',
    'UNSURE')),
  why            text,
  before         jsonb,
  after          jsonb,
  decided_at     timestamptz,
  correlation_id text,
  -- What DICT said about the CID, stored as soon as it is received so that a crash loses nothing; and how often DICT
  -- failed to answer.
  finding        jsonb,
  found_at       timestamptz,
  failures       integer not null default 0,
  decided_xid    xid8,
  planned        text check (planned in ('ADD', 'CORRECT', 'REMOVE', 'REGISTER', 'LEAVE')),
  plan           text check (plan in ('REGISTER', 'REMOVE')),
  plan_by        text,
  plan_why       text,
  register_request_id uuid,
  primary key (run_id, round, cid),
  check ((plan is null) = (plan_by is null) and (plan is null) = (plan_why is null))
);
comment on table dict.divergences is
  'One row per CID that only one side has: what was decided, with the entry before and after. A corrected key has two rows, one for each CID.';
comment on column dict.divergences.decided_xid is
  'The transaction that decided it and changed the key. As long as the entry''s changed_xid is the same, nothing newer has changed the key.';
comment on column dict.divergences.plan is
  'What a person wants done with a key that only we have. REGISTER: it is registered at DICT instead of removed (Manual §3.3). REMOVE: it is removed although it was UNSURE. plan_by and plan_why say who and why.';
comment on column dict.divergences.planned is
  'What the repair will do with it, by DICT''s answers before the set was frozen; the set''s hash covers it. LEAVE: nothing, why says the reason. Null: DICT was not asked before.';
comment on column dict.divergences.register_request_id is
  'The new RequestId with which the key is registered at DICT. Kept before the call, so that after a crash the same request is repeated.';
create index divergences_pending on dict.divergences (run_id, round, side, cid) where decision = 'PENDING';
-- What earlier runs left for a person to decide.
create index divergences_unsure on dict.divergences (cid) where decision in ('UNSURE', 'REFUSED');
-- The changes of a run in the order of their keys, in which an undo processes them.
create index divergences_changed on dict.divergences (run_id, key, decided_xid)
  where decision in ('ADDED', 'CORRECTED', 'REMOVED');

-- Undo ----------------------------------------------------------------------------------------------------------------


create table dict.undos (
  undo_run_id uuid primary key,
  run_id      uuid not null references dict.reconciliations (run_id) on delete cascade,
  participant text not null,
  key_type    text not null,
  by_whom     text not null,
  reason      text,
  asked_at    timestamptz not null,
  ended_at    timestamptz,
  keys_undone bigint not null default 0,
  keys_left   bigint not null default 0,
  pages_published  integer not null default 0,
  changes_published bigint not null default 0,
  outcome     text check (outcome in ('COMPLETED', 'FAILED', 'POISONED', 'CANCELLED', 'TERMINATED'))
);
comment on table dict.undos is 'One row per undo: the reconciliation that it undoes, who asked for it, how many keys it put back and how many it left alone.';
comment on column dict.undos.outcome is
  'How its run ended; null while it is open. If it is not COMPLETED, some keys may not have been processed; start another undo for them.';
create index undos_run on dict.undos (run_id);

create table dict.undone (
  undo_run_id uuid not null references dict.undos (undo_run_id) on delete cascade,
  run_id      uuid not null,
  participant text not null,
  key_type    text not null,
  key         text not null,
  decision    text not null check (decision in ('ADDED', 'CORRECTED', 'REMOVED')),
  result      text not null check (result in ('UNDONE', 'NEWER')),
  why         text,
  before      jsonb,
  after       jsonb,
  at          timestamptz not null,
  primary key (undo_run_id, key)
);
comment on table dict.undone is
  'One row per key that an undo processed: the decision that it undid, and the entry before and after. NEWER: the key was left alone, because something newer has changed it.';
create index undone_run on dict.undone (run_id, key);

create table dict.held_keys (
  id          bigint generated always as identity primary key,
  participant text not null,
  key_type    text not null,
  key         text not null,
  undo_run_id uuid not null,
  by_whom     text not null,
  reason      text,
  held_at     timestamptz not null,
  released_at timestamptz,
  released_by text,
  check ((released_at is null) = (released_by is null))
);
comment on table dict.held_keys is
  'Keys that an undo put back. No reconciliation touches them until a person releases them (released_at).';
create unique index held_keys_held on dict.held_keys (participant, key_type, key) where released_at is null;
create index held_keys_undo on dict.held_keys (undo_run_id) where released_at is null;

-- What a person must look at ------------------------------------------------------------------------------------------


create table dict.warning_settings (
  one_row        boolean primary key default true check (one_row),
  deadline_hours double precision not null default 36 check (deadline_hours > 0),
  fresh_ok_hours double precision not null default 24 check (fresh_ok_hours > 0),
  approval_hours double precision not null default 1 check (approval_hours > 0),
  alerts         boolean not null default false
);
comment on table dict.warning_settings is
  'SYNC_DEADLINE_HOURS (Manual de Tempos do Pix: 36 hours between two OKs), WARN_AFTER_HOURS and APPROVAL_WARN_HOURS of the worker that started last, and whether it has an ALERT_URL.';
insert into dict.warning_settings default values;

create table dict.retry_policy (
  one_row       boolean primary key default true check (one_row),
  minutes       double precision[] not null default '{}' check (0 < all (minutes)),
  passing_codes text[] not null default '{}'
);
comment on table dict.retry_policy is
  'When the automatic retries begin: RETRY_MINUTES of the worker that started last; empty: never. passing_codes: the errors of class not_retryable after which a new reconciliation may succeed without anybody''s help.';
insert into dict.retry_policy default values;

create table dict.warning_alerts (
  id          bigint generated always as identity primary key,
  participant text not null,
  key_type    text not null,
  code        text not null,
  since       timestamptz not null,
  raised_at   timestamptz not null,
  cleared_at  timestamptz
);
comment on table dict.warning_alerts is
  'One row each time that a warning began: since when its cause has existed, when it was raised, and when it was cleared.';
create unique index warning_alerts_raised on dict.warning_alerts (participant, key_type, code) where cleared_at is null;

-- DICT's token buckets as this installation knows them, shared by all its workers -------------------------------------


create table dict.rate_limits (
  participant    text not null,
  policy         text not null,
  capacity       integer not null check (capacity > 0),
  refill_tokens  integer not null check (refill_tokens > 0),
  refill_period  interval not null check (refill_period > '0'),
  tokens         integer not null check (tokens >= 0),
  refilled_at    timestamptz not null,
  blocked_until  timestamptz,
  primary key (participant, policy)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
comment on table dict.rate_limits is
  'DICT''s token buckets (DICT API 2.6.1, "Limitação de requisições"), per participant and policy. Initialized from ListPolicies if the Bridge offers it. FILE_POLL is our own: the rate of getCidSetFile calls for all key types together.';
comment on column dict.rate_limits.blocked_until is 'Until when DICT asked us not to send requests (Retry-After).';

-- When a run ends, however it ends, its row here is completed ---------------------------------------------------------


create trigger verification_closed after update of closed_at on workflow.runs
  for each row when (new.machine = 'verification' and old.closed_at is null and new.closed_at is not null)
  execute function dict.verification_closed();
create trigger reconciliation_closed after update of closed_at on workflow.runs
  for each row when (new.machine = 'reconciliation' and old.closed_at is null and new.closed_at is not null)
  execute function dict.reconciliation_closed();
create trigger undo_closed after update of closed_at on workflow.runs
  for each row when (new.machine = 'undo' and (old.closed_at is null) <> (new.closed_at is null))
  execute function dict.undo_closed();
