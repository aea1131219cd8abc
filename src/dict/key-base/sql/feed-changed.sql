-- No writer of the bank fails or waits because of the feed: what cannot be done immediately is left to
-- dict.process_feed_queue.
create or replace function dict.feed_changed() returns trigger
language plpgsql security definer set timezone = 'UTC' set datestyle = 'ISO, YMD' set lock_timeout = '1ms' as $$
declare
  s dict.feed_sources;
  refs dict.key_ref[];
  state text;
begin
  select * into s from dict.feed_sources where name = tg_argv[0];
  if not found then
    return null;
  end if;
  begin
    if tg_op = 'TRUNCATE' then
      perform dict.feed_differing(s);
      return null;
    end if;
    execute case tg_op
      when 'INSERT' then replace(tg_argv[1], 'changed_rows', 'new_rows')
      when 'DELETE' then replace(tg_argv[1], 'changed_rows', 'old_rows')
      else tg_argv[1] end into refs;
  exception when others then
    -- It is not known which keys changed, so all keys are read again.
    perform dict.note_broken(s.name, sqlstate);
    insert into dict.feed_queue (source, missed) values (s.name, true);
    return null;
  end;
  state := dict.feed_in_chunks(s, coalesce(refs, '{}'));
  if state is not null then
    perform dict.note_broken(s.name, state);
    perform dict.queue_keys(s.name, refs, true);
  end if;
  return null;
exception when others then
  raise warning 'dict-vsync could not follow this change (SQLSTATE %); run dict.load_source(%)', sqlstate, quote_literal(tg_argv[0]);
  return null;
end $$;
