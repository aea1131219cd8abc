create or replace function dict.verification_closed() returns trigger
language plpgsql security definer as $$
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
