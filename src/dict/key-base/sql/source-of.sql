create or replace function dict.source_of(of_participant text) returns text
language sql stable security definer as $$
  select f.name from dict.feed_sources f where f.participants is null or of_participant = any (f.participants)
$$;
comment on function dict.source_of(text) is 'The source that feeds a participant; null when none is connected.';
