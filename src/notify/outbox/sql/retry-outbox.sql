create or replace function dict.retry_outbox(messages uuid[] default null) returns bigint
language plpgsql security definer as $$
declare
  r record;
  n bigint;
  again bigint := 0;
  missing uuid;
begin
  select m into missing from unnest(messages) m
  where not exists (select from dict.outbox o where o.id = m and o.dead_at is not null) limit 1;
  if missing is not null then
    perform workflow.raise_error('DV_MESSAGE_NOT_DEAD',
      format('Message %s is not a dead message: it does not exist, is still waiting, or is delivered. List the dead messages with `dict-vsync outbox list --dead`.', missing));
  end if;
  -- All callers lock the streams' counters in the same order, so that they cannot deadlock.
  for r in
    select id, destination, participant, key_type from dict.outbox
    where dead_at is not null and (messages is null or id = any (messages))
    order by participant, key_type, destination desc, sequence for update
  loop
    -- At the end of its stream: a broker with de-duplication drops every sequence that is lower than the last it
    -- received.
    update dict.outbox_sequences s set last = s.last + 1
    where (s.destination, s.participant, s.key_type) = (r.destination, r.participant, r.key_type) returning last into n;
    update dict.outbox set sequence = n, dead_at = null, refusals = 0, last_error = null where id = r.id;
    again := again + 1;
  end loop;
  return again;
end $$;
comment on function dict.retry_outbox(uuid[]) is
  'Sends dead messages again (null: all of them), with the same ids and new sequences at the end of their streams. Returns how many. Errors: DV_MESSAGE_NOT_DEAD; then no message is sent.';
