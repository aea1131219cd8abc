-- Queues keys of a source, which dict.process_feed_queue reads again.
create or replace function dict.queue_keys(of_source text, refs dict.key_ref[], were_missed boolean) returns void
language sql as $$
  insert into dict.feed_queue (source, participant, key_type, key, missed)
  select of_source, u.participant, u.key_type, u.key, were_missed from unnest(refs) u
$$;
