create or replace function dict.expired_sync_verifications(older_than interval) returns setof uuid
language sql stable as $$
  select s.id from dict.sync_verifications s
  where s.asked_at < workflow.now() - older_than
    -- A replay of the logs begins at the last OK, and the deadline counts from it.
    and s.id is distinct from (
      select o.id from dict.sync_verifications o
      where o.participant = s.participant and o.key_type = s.key_type and o.result = 'OK'
      order by o.answered_at desc limit 1)
$$;
comment on function dict.expired_sync_verifications(interval) is
  'The proofs of synchronism that retention removes at this age; never the last OK of a participant and key type.';
