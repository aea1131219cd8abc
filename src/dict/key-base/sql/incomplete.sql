create or replace function dict.incomplete(of_participant text, of_key_type text) returns boolean
language sql stable security definer as $$
  select exists (
    select from dict.feed_sources f
    where (f.participants is null or of_participant = any (f.participants))
      and (f.loaded_at is null or exists (
        select from dict.feed_rejects r
        where r.source = f.name
          -- What names no participant or key type of ours may be of any.
          and (r.participant = of_participant or r.participant !~ '^[0-9]{8}$' or r.participant <> all (f.participants))
          and (r.key_type = of_key_type or r.key_type <> all (dict.key_types())))))
  or exists (
    select from dict.key_event_rejects r
    where (r.participant = of_participant or r.participant !~ '^[0-9]{8}$')
      and (r.key_type = of_key_type or r.key_type <> all (dict.key_types()))
      -- Where it names neither, the view cannot know which OK settles it.
      and not exists (
        select from dict.sync_verifications s
        where s.participant = of_participant and s.key_type = of_key_type and s.result = 'OK' and s.asked_at > r.received_at))
$$;
comment on function dict.incomplete(text, text) is
  'Whether a VSync may lack keys: the participant''s own tables have some that cannot be used (dict.feed_rejects) or were never loaded, or a key event could not be used (dict.key_event_rejects).';
