-- Records why a key of a source cannot be used. A key that is recorded with the same reason keeps its time.
create or replace function dict.note_reject(source text, ref dict.key_ref, why text) returns void
language sql as $$
  insert into dict.feed_rejects as r (source, participant, key_type, key, reason)
  select note_reject.source, k.participant, k.key_type, k.key, why from dict.reject_ref(ref) k
  on conflict on constraint feed_rejects_pkey do update set reason = excluded.reason, since = excluded.since
  where r.reason <> excluded.reason
$$;
