create or replace function dict.feed_missed(of_participant text, of_key_type text, of_key text) returns boolean
language plpgsql volatile security definer as $$
begin
  -- Volatile: it must see what committed while the caller waited for a lock.
  return exists (
      select from dict.feed_queue q where q.missed and q.look_again_after is null
        and (q.participant, q.key_type, q.key) = (of_participant, of_key_type, of_key))
    or exists (
      select from dict.feed_queue q join dict.feed_sources f on f.name = q.source
      where q.missed and q.look_again_after is null and q.participant is null and q.key_type is null and q.key is null
        and (f.participants is null or of_participant = any (f.participants)));
end $$;
comment on function dict.feed_missed(text, text, text) is
  'Whether a key changed in the bank''s tables and has not been read again yet; a repair treats it as in flight.';
