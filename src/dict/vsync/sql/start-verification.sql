create or replace function dict.start_verification(participant text default null, key_types text[] default null) returns setof uuid
language plpgsql security definer as $$
declare
  types text[] := dict.check_key_types(key_types);
begin
  return query
  select workflow.start_run('verification', dict.verification_key(p, types),
    jsonb_build_object('participant', p, 'keyTypes', to_jsonb(types)))
  from dict.asked_participants(start_verification.participant) p;
end $$;
comment on function dict.start_verification(text, text[]) is
  'Starts a verification for a participant (null: each configured one) and key types (null: all five). Returns the run ids; if such a run is open, its id. Runs in the caller''s transaction. Errors: DV_ISPB_INVALID, DV_KEY_TYPE_UNKNOWN, DV_PARTICIPANT_UNKNOWN, DV_PARTICIPANT_MISSING.';
