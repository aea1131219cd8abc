create or replace function dict.refeed(of_source text, refs dict.key_ref[]) returns void
language plpgsql security definer set timezone = 'UTC' set datestyle = 'ISO, YMD' set lock_timeout = '1ms' as $$
declare
  state text := dict.feed_in_chunks(dict.known_source(of_source), refs);
begin
  if state is not null then
    raise exception using errcode = state, message = 'the mapping is broken';
  end if;
end $$;
comment on function dict.refeed(text, dict.key_ref[]) is 'Reads keys of a source again, whether its triggers saw a change or not.';
