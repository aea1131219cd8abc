create or replace function dict.publish_verification_summary(run uuid) returns text
language plpgsql as $$
declare
  v dict.verifications;
  key_types jsonb;
  reconciliations jsonb;
begin
  select * into strict v from dict.verifications where run_id = run;
  -- From the first time a VSync was sent to the last answer.
  select coalesce(jsonb_object_agg(key, value || jsonb_strip_nulls(jsonb_build_object('seconds', (
      select extract(epoch from max(s.answered_at) - min(s.asked_at))::float8 from dict.sync_verifications s
      where s.run_id = run and s.purpose = 'VERIFICATION' and s.key_type = key)))), '{}')
    into key_types from jsonb_each(v.results);
  select coalesce(jsonb_object_agg(r.input ->> 'keyType', r.id), '{}') into reconciliations from workflow.runs r
  where r.machine = 'reconciliation' and r.input ->> 'participant' = v.participant
    and (r.parent_id = run or r.closed_at is null)
    and v.results -> (r.input ->> 'keyType') ->> 'result' = 'NOK';
  perform dict.publish(v.participant, 'ALL', 'verification.summary', jsonb_build_object(
    'runId', run, 'outcome', v.outcome, 'startedAt', dict.message_time(v.started_at),
    'endedAt', dict.message_time(v.ended_at), 'seconds', extract(epoch from v.ended_at - v.started_at)::float8,
    'keyTypes', key_types, 'reconciliations', reconciliations), run);
  return v.outcome;
end $$;
comment on function dict.publish_verification_summary(uuid) is
  'Publishes verification.summary for a logged verification: its results and the reconciliations that it started. Returns its outcome.';
