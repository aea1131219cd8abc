-- Records that the mapping of a source is broken as a whole, with the SQLSTATE it raised.
create or replace function dict.note_broken(of_source text, state text) returns void
language plpgsql as $$
begin
  if not exists (select from dict.feed_rejects r where r.source = of_source and (r.participant, r.key_type, r.key) = ('', '', '')) then
    perform dict.note_reject(of_source, ('', '', ''), state);
  end if;
exception when others then
  -- Another writer records the same.
  null;
end $$;
