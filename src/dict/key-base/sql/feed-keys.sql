-- Feeds keys, one by one if necessary. Returns null when done. If the mapping is broken as a whole (class 42: a table,
-- column, function or right is missing), returns the SQLSTATE and feeds nothing.
create or replace function dict.feed_keys(s dict.feed_sources, refs dict.key_ref[]) returns text
language plpgsql as $$
declare
  state text;
  half integer := cardinality(refs) / 2;
begin
  if cardinality(refs) = 0 then
    return null;
  end if;
  begin
    perform dict.feed_batch(s, refs);
    return null;
  exception when others then
    state := sqlstate;
  end;
  if state like '42%' then
    return state;
  end if;
  if cardinality(refs) > 1 then
    -- Each locked key would cost a millisecond here. dict.process_feed_queue has the time for many of them.
    if cardinality(refs) > 100 and dict.is_passing(state) then
      perform dict.queue_keys(s.name, refs, true);
      return null;
    end if;
    return coalesce(dict.feed_keys(s, refs[:half]), dict.feed_keys(s, refs[half + 1:]));
  end if;
  if not dict.is_passing(state) then
    begin
      -- A key that cannot be read must not be in any VSync.
      update dict.entries e set removed_at = workflow.now()
      where (e.participant, e.key_type, e.key) = (refs[1].participant, refs[1].key_type, refs[1].key) and e.removed_at is null;
      perform dict.note_reject(s.name, refs[1], state);
      return null;
    exception when others then
      null;
    end;
  end if;
  perform dict.queue_keys(s.name, refs, true);
  return null;
end $$;
