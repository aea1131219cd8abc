-- Chunks limit the memory of one statement, and a chunk touches each VSync bucket at most once.
create or replace function dict.feed_in_chunks(s dict.feed_sources, refs dict.key_ref[]) returns text
language plpgsql as $$
declare
  state text;
begin
  for i in 1 .. cardinality(refs) by 50000 loop
    state := dict.feed_keys(s, refs[i:i + 49999]);
    exit when state is not null;
  end loop;
  return state;
end $$;
