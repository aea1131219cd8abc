create or replace function dict.release_keys(by_whom text, participant text default null, key_types text[] default null,
  key text default null, undo_run uuid default null) returns bigint
language plpgsql security definer as $$
declare
  types text[] := dict.check_key_types(key_types);
  released bigint;
begin
  if coalesce(btrim(by_whom), '') = '' then
    perform workflow.raise_error('DV_DECISION_UNSIGNED', 'Say who releases the keys. It is recorded for the auditor.');
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
  'Releases held keys, so that the next reconciliation repairs them; returns how many. A key must match all parameters given, and at least one must be given. Errors: DV_DECISION_UNSIGNED, DV_RELEASE_UNNAMED, DV_KEY_TYPE_UNKNOWN.';
