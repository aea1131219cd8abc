-- Undo of a reconciliation, the keys it holds, and local-only keys that a person has registered at DICT.

alter table dict.divergences
  add column decided_xid xid8,
  add column plan text check (plan in ('REGISTER')),
  add column plan_by text,
  add column plan_why text,
  add check ((plan is null) = (plan_by is null) and (plan is null) = (plan_why is null));
comment on column dict.divergences.decided_xid is
  'The transaction that decided it and changed the key: as long as the entry''s changed_xid is that one, nothing newer has touched the key.';
comment on column dict.divergences.plan is
  'REGISTER: a person wants this local-only key registered at DICT instead of removed (Manual §3.3); plan_by and plan_why say who and why.';

-- The changes of a run in order of their keys: an undo goes through them so.
create index divergences_changed on dict.divergences (run_id, key, decided_xid)
  where decision in ('ADDED', 'CORRECTED', 'REMOVED');

alter table dict.reconciliations
  add column keys_registered bigint not null default 0,
  add column keys_held bigint not null default 0;
comment on column dict.reconciliations.keys_held is 'Keys that its last round left alone because a person holds them.';

create view dict.key_changes as
select run_id, round, key, decision,
  max(encode(cid, 'hex')) filter (where side = 'LOCAL_ONLY') as local_cid,
  max(encode(cid, 'hex')) filter (where side = 'DICT_ONLY') as dict_cid,
  -- Both halves of a corrected key say the same.
  (array_agg(before order by side))[1] as before, (array_agg(after order by side))[1] as after,
  max(plan_by) as plan_by, max(plan_why) as plan_why, max(decided_at) as decided_at
from dict.divergences
where decision in ('ADDED', 'CORRECTED', 'REMOVED', 'REGISTERED')
group by run_id, round, key, decision;
comment on view dict.key_changes is
  'What reconciliations changed, one row a key: both CIDs of a corrected key are one change, local_cid before and dict_cid after it.';

-- Undo -------------------------------------------------------------------------------------------------------------------------

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
  keys_left   bigint not null default 0
);
comment on table dict.undos is 'One row an undo: the reconciliation it puts back, who asked for it, and how many keys it put back and left alone.';
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
  'One row a key that an undo came to: the decision it undid, its entry before and after; NEWER: left alone, because something newer has touched it.';
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
  'Keys that no reconciliation touches since a person undid one there, until a person releases them (released_at).';
create unique index held_keys_held on dict.held_keys (participant, key_type, key) where released_at is null;
create index held_keys_undo on dict.held_keys (undo_run_id) where released_at is null;

create function dict.start_undo(run uuid, by_whom text default session_user, reason text default null) returns uuid
language plpgsql security definer set search_path = pg_catalog, dict, workflow as $$
declare
  r workflow.runs;
  undo uuid;
begin
  select * into r from workflow.runs where id = run for update;
  if not found then
    perform workflow.raise_error('DV_RUN_NOT_FOUND', format('There is no run %s.', run));
  end if;
  if r.machine <> 'reconciliation' then
    perform workflow.raise_error('DV_RUN_NOT_RECONCILIATION', format('Run %s is of machine %s. Only what a reconciliation changed can be undone.', run, r.machine));
  end if;
  if r.closed_at is null then
    perform workflow.raise_error('DV_RUN_OPEN', format('Run %s is still open. Wait for its end or cancel it, then undo it.', run));
  end if;
  select id into undo from workflow.runs where workflow_key = 'undo:' || run and closed_at is null;
  if found then
    return undo;
  end if;
  if not exists (select from dict.divergences d
                 where d.run_id = run and d.decision in ('ADDED', 'CORRECTED', 'REMOVED')
                   and not exists (select from dict.undone u where u.run_id = run and u.key = d.key)) then
    if exists (select from dict.undos u where u.run_id = run) then
      perform workflow.raise_error('DV_ALREADY_UNDONE', format('Run %s is undone already: dict.undone tells what came of each key.', run));
    end if;
    perform workflow.raise_error('DV_NOTHING_TO_UNDO', format('Run %s has changed no key: there is nothing to undo.', run));
  end if;
  undo := workflow.start_run('undo', 'undo:' || run,
    jsonb_build_object('run', run, 'participant', r.input -> 'participant', 'keyType', r.input -> 'keyType'),
    coalesce(by_whom, session_user));
  insert into dict.undos (undo_run_id, run_id, participant, key_type, by_whom, reason, asked_at)
  values (undo, run, r.input ->> 'participant', r.input ->> 'keyType', coalesce(by_whom, session_user), start_undo.reason, workflow.now());
  return undo;
end $$;
comment on function dict.start_undo(uuid, text, text) is
  'Starts the undo of a closed reconciliation and returns its run id, that of the open one where there is one. In the caller''s transaction. Errors: DV_RUN_NOT_FOUND, DV_RUN_NOT_RECONCILIATION, DV_RUN_OPEN, DV_ALREADY_UNDONE, DV_NOTHING_TO_UNDO, DV_MACHINE_UNKNOWN.';

create function dict.release_keys(by_whom text, participant text default null, key_types text[] default null,
  key text default null, undo_run uuid default null) returns bigint
language plpgsql security definer set search_path = pg_catalog, dict, workflow as $$
declare
  types text[] := dict.check_key_types(key_types);
  released bigint;
begin
  if coalesce(btrim(by_whom), '') = '' then
    perform workflow.raise_error('DV_DECISION_UNSIGNED', 'Say who releases the keys: it is kept for the auditor.');
  end if;
  if num_nonnulls(release_keys.participant, key_types, release_keys.key, undo_run) = 0 then
    perform workflow.raise_error('DV_RELEASE_UNNAMED', 'Say which keys to release: by participant, key type, key or undo run.');
  end if;
  update dict.held_keys h set released_at = workflow.now(), released_by = release_keys.by_whom
  where h.released_at is null and h.key_type = any (types)
    and (release_keys.participant is null or h.participant = release_keys.participant)
    and (release_keys.key is null or h.key = release_keys.key)
    and (undo_run is null or h.undo_run_id = undo_run);
  get diagnostics released = row_count;
  return released;
end $$;
comment on function dict.release_keys(text, text, text[], text, uuid) is
  'Releases held keys, so that the next reconciliation repairs them; returns how many. All that is named must hold; one thing must be named. Errors: DV_DECISION_UNSIGNED, DV_RELEASE_UNNAMED, DV_KEY_TYPE_UNKNOWN.';

-- Registering at DICT ----------------------------------------------------------------------------------------------------------

create function dict.register_local_only(run uuid, keys text[], by_whom text, reason text) returns bigint
language plpgsql security definer set search_path = pg_catalog, dict, workflow as $$
declare
  scope dict.reconciliations;
  last_round integer;
  marked text[];
begin
  if coalesce(btrim(by_whom), '') = '' or coalesce(btrim(reason), '') = '' then
    perform workflow.raise_error('DV_DECISION_UNSIGNED', 'Say who decides and why: both are kept for the auditor.');
  end if;
  -- The lock first, as in dict.decide_reconciliation.
  perform from workflow.runs where id = run for update;
  if not found then
    perform workflow.raise_error('DV_RUN_NOT_FOUND', format('There is no run %s.', run));
  end if;
  if not workflow.waits_for(run, 'approve') then
    perform workflow.raise_error('DV_RUN_NOT_WAITING', format('Run %s does not wait for an approval. `dict-vsync describe` shows what it does.', run));
  end if;
  select * into strict scope from dict.reconciliations where run_id = run;
  if scope.key_type = 'EVP' then
    perform workflow.raise_error('DV_REGISTER_EVP', 'DICT makes an EVP''s key itself: one that only the local base has cannot be registered, only removed.');
  end if;
  select max(round) into last_round from dict.rounds where run_id = run;

  with named as (
    update dict.divergences d set plan = 'REGISTER', plan_by = by_whom, plan_why = reason, key = e.key
    from dict.entries e
    where d.run_id = run and d.round = last_round and d.side = 'LOCAL_ONLY' and d.decision = 'PENDING'
      and e.participant = scope.participant and e.key_type = scope.key_type and e.cid = d.cid and e.removed_at is null
      and (keys is null or e.key = any (keys))
    returning d.key)
  select coalesce(array_agg(key), '{}') into marked from named;
  if cardinality(marked) = 0 or not coalesce(keys, marked) <@ marked then
    perform workflow.raise_error('DV_KEY_NOT_IN_SET', format('Not all of these keys are in the frozen set of run %s as keys that only the local base has. Nothing was marked.', run));
  end if;
  return cardinality(marked);
end $$;
comment on function dict.register_local_only(uuid, text[], text, text) is
  'While a reconciliation waits for approval: marks local-only keys of its frozen set (null: all of them) to be registered at DICT instead of removed, once it is approved; returns how many. Errors: DV_RUN_NOT_FOUND, DV_RUN_NOT_WAITING, DV_REGISTER_EVP, DV_KEY_NOT_IN_SET, DV_DECISION_UNSIGNED.';
