create or replace function dict.publish_undo_done(undo_run uuid, code text default null) returns void
language sql as $$
  select dict.publish(participant, key_type, 'undo.done',
    jsonb_strip_nulls(jsonb_build_object(
      'runId', undo_run, 'pageCount', pages_published, 'changeCount', changes_published, 'code', code))
    || jsonb_build_object('summary', dict.undo_summary(undo_run)), undo_run)
  from dict.undos where undo_run_id = undo_run
$$;
comment on function dict.publish_undo_done(uuid, text) is
  'Publishes undo.done for an undo that has ended: how many keys it put back and left alone. code: the error with which it ended.';
