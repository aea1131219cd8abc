-- Ends from outside of every kind of run: told, and their rows closed, in the transaction that ends the run.

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
begin
  -- Opened again by workflow.retry; or ended, and by itself only if its last step has not said so before.
  update dict.undos set ended_at = new.closed_at, outcome = case when new.closed_at is not null then new.status end
  where undo_run_id = new.id and (new.closed_at is null or outcome is null) returning * into u;
  if found and new.closed_at is not null then
    perform dict.publish(u.participant, u.key_type, 'undo.done', jsonb_strip_nulls(jsonb_build_object(
        'runId', new.id, 'pageCount', u.pages_told, 'changeCount', u.changes_told, 'code', new.error ->> 'code'))
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

-- Rights ----------------------------------------------------------------------------------------------------------------------

revoke execute on function dict.verification_closed(), dict.undo_closed() from public;
