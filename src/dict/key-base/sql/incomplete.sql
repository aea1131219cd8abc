create or replace function dict.incomplete(of_participant text, of_key_type text) returns boolean
language sql stable security definer as $$
  select exists (
    select from dict.feed_sources f
    where (f.participants is null or of_participant = any (f.participants))
      and (f.loaded_at is null or exists (
        select from dict.feed_rejects r
        where r.source = f.name
          -- A reject without a participant or key type that we serve may belong to any of them.
          and (r.participant = of_participant or r.participant !~ '^[0-9]{8}$' or r.participant <> all (f.participants))
          and (r.key_type = of_key_type or r.key_type <> all (dict.key_types())))))
  or exists (
    select from dict.key_event_rejects r
    where (r.participant = of_participant or r.participant !~ '^[0-9]{8}$')
      and (r.key_type = of_key_type or r.key_type <> all (dict.key_types()))
      -- If the event names neither, the view dict.key_event_rejects cannot know which OK makes it irrelevant.
      and not exists (
        select from dict.sync_verifications s
        where s.participant = of_participant and s.key_type = of_key_type and s.result = 'OK' and s.asked_at > r.received_at))
$$;
comment on function dict.incomplete(text, text) is
  'Whether a VSync may be missing keys: the participant''s own tables have keys that cannot be used (dict.feed_rejects) or were never loaded, or a key event could not be used (dict.key_event_rejects).';
