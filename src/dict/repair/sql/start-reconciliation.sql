create or replace function dict.start_reconciliation(participant text default null, key_types text[] default null) returns setof uuid
language plpgsql security definer as $$
declare
  types text[] := dict.check_key_types(key_types);
begin
  return query
  select workflow.start_run('reconciliation', dict.reconciliation_key(p, t),
    jsonb_build_object('participant', p, 'keyType', t))
  from dict.asked_participants(start_reconciliation.participant) p, unnest(types) t;
end $$;
comment on function dict.start_reconciliation(text, text[]) is
  'Starts a reconciliation for each participant (null: each configured one) and key type (null: all five). Returns the run ids; if such a run is open, its id. Runs in the caller''s transaction. Errors: DV_ISPB_INVALID, DV_KEY_TYPE_UNKNOWN, DV_PARTICIPANT_UNKNOWN, DV_PARTICIPANT_MISSING.';
