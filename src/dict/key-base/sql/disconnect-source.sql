create or replace function dict.disconnect_source(name text) returns void
language plpgsql as $$
declare
  s dict.feed_sources := dict.known_source(name);
  t record;
begin
  -- Finds the triggers by their function, because a table may have been renamed or dropped.
  for t in
    select g.tgname, g.tgrelid::regclass as feeding from pg_trigger g
    where g.tgfoid = 'dict.feed_changed'::regproc and g.tgparentid = 0
      and split_part(encode(g.tgargs, 'escape'), '\000', 1) = s.name
  loop
    execute format('drop trigger %I on %s', t.tgname, t.feeding);
  end loop;
  delete from dict.feed_sources f where f.name = s.name;
end $$;
comment on function dict.disconnect_source(text) is
  'Removes a source and its triggers. dict.entries stays as it is, and repairs are written there from now on. Errors: DV_SOURCE_UNKNOWN.';
