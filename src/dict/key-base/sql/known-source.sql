-- The connected source of this name. DV_SOURCE_UNKNOWN.
create or replace function dict.known_source(of_name text) returns dict.feed_sources
language plpgsql stable as $$
declare
  s dict.feed_sources;
begin
  select * into s from dict.feed_sources where name = of_name;
  if not found then
    perform workflow.raise_error('DV_SOURCE_UNKNOWN', 'No source with this name is connected. `dict-vsync connect list` shows the sources.');
  end if;
  return s;
end $$;
