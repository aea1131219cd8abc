create or replace function dict.publish(of_participant text, of_key_type text, of_type text, content jsonb, of_run uuid,
  to_whom text default 'CORE_DICT') returns uuid
language plpgsql security definer as $$
declare
  n bigint;
  message uuid;
begin
  -- The row lock on the counter keeps the sequence in commit order and without gaps. Only runs take it, never writers
  -- of keys.
  insert into dict.outbox_sequences as s (destination, participant, key_type, last)
  values (to_whom, of_participant, of_key_type, 1)
  on conflict (destination, participant, key_type) do update set last = s.last + 1 returning last into n;
  insert into dict.outbox (destination, participant, key_type, sequence, type, payload, run_id, correlation_id, created_at)
  values (to_whom, of_participant, of_key_type, n, of_type, content, of_run,
    (select r.correlation_id from workflow.runs r where r.id = of_run), workflow.now())
  returning id into message;
  return message;
end $$;
comment on function dict.publish(text, text, text, jsonb, uuid, text) is
  'Puts a message to Core-Dict (or to ALERT: a person) into the outbox, in the caller''s transaction. Returns its id.';
