create or replace function dict.undo_summary(undo_run uuid) returns jsonb
language sql stable as $$
  select jsonb_build_object(
    'participant', participant, 'keyType', key_type, 'undoneRun', run_id, 'by', by_whom, 'reason', reason,
    'outcome', outcome, 'keysUndone', keys_undone, 'keysLeft', keys_left,
    'askedAt', dict.message_time(asked_at), 'endedAt', dict.message_time(ended_at))
  from dict.undos where undo_run_id = undo_run
$$;
comment on function dict.undo_summary(uuid) is 'An undo as messages to Core-Dict and the CLI show it; null when there is no such undo.';
