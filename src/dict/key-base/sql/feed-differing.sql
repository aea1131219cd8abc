-- Feeds every key of a source that differs from dict.entries; returns how many. Raises the SQLSTATE of a broken
-- mapping.
create or replace function dict.feed_differing(s dict.feed_sources) returns bigint
language plpgsql as $$
declare
  chunk dict.key_ref[];
  fed bigint := 0;
  state text;
begin
  -- The keys are those of committed rows. A transaction that changes one of them meanwhile feeds it too.
  s.several_tables := false;
  for chunk in execute s.differing_query using s.participants, s.name loop
    state := dict.feed_keys(s, chunk);
    if state is not null then
      raise exception using errcode = state, message = 'the mapping is broken';
    end if;
    fed := fed + cardinality(chunk);
  end loop;
  return fed;
end $$;
