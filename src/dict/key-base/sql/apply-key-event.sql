create or replace function dict.apply_key_event(event jsonb) returns text
language plpgsql security definer as $$
declare
  e record;
  refused text;
begin
  select * into e from jsonb_to_record(event) as x (source text, id text, type text, "time" timestamptz, sequence text,
    participant text, "keyType" text, key text, entry jsonb, reason text);
  refused := coalesce(e.reason, case
    when not exists (select from dict.participants p where p.participant = e.participant) then 'PARTICIPANT_NOT_SERVED'
    -- The participant's own tables are the source of its keys.
    when dict.source_of(e.participant) is not null then 'PARTICIPANT_CONNECTED'
    -- Such a time would make every later event of the key an older one.
    when e."time" > workflow.now() + interval '10 minutes' then 'TIME_AHEAD' end);

  insert into dict.key_events (source, id, type, participant, key_type, key, event_time, outcome, reason, received_at)
  values (e.source, e.id, e.type, left(coalesce(e.participant, ''), 40), left(coalesce(e."keyType", ''), 40),
    left(coalesce(e.key, ''), 100), e."time", case when refused is null then 'APPLIED' else 'REFUSED' end, refused, workflow.now())
  on conflict do nothing;
  if not found then
    return 'DUPLICATE';
  elsif refused is not null then
    return 'REFUSED';
  end if;

  -- Ordered by time, then by sequence if both events have one; otherwise in the order in which they are received.
  insert into dict.key_event_order as o (participant, key_type, key, event_time, sequence, source, id)
  values (e.participant, e."keyType", e.key, e."time", e.sequence, e.source, e.id)
  on conflict (participant, key_type, key) do update set
    event_time = excluded.event_time, sequence = excluded.sequence, source = excluded.source, id = excluded.id
  where (excluded.event_time > o.event_time
      or excluded.event_time = o.event_time and coalesce(excluded.sequence collate "C" >= o.sequence collate "C", true))
    -- Even after retention has deleted the event, a replayed topic must not apply it again.
    and (o.source, o.id) <> (excluded.source, excluded.id);
  if not found then
    update dict.key_events k set outcome = 'OLDER' where (k.source, k.id) = (e.source, e.id);
    return 'OLDER';
  end if;

  -- The reason of the change is the event's type. It is a customer's change, so it stays in flight for the margin after
  -- it.
  if e.type = 'key.deleted' then
    update dict.entries n set removed_at = workflow.now(), changed_why = e.type
    where (n.participant, n.key_type, n.key) = (e.participant, e."keyType", e.key) and n.removed_at is null;
    return 'APPLIED';
  end if;
  insert into dict.entries as n (participant, key_type, key, request_id, owner_type, tax_id_number, name, trade_name, branch,
    account_number, account_type, opening_date, changed_why)
  select e.participant, e."keyType", e.key, x."requestId", x."ownerType", x."taxIdNumber", x.name, x."tradeName", x.branch,
    x."accountNumber", x."accountType", x."openingDate", e.type
  from jsonb_to_record(e.entry) as x ("requestId" uuid, "ownerType" text, "taxIdNumber" text, name text, "tradeName" text,
    branch text, "accountNumber" text, "accountType" text, "openingDate" timestamptz)
  on conflict (participant, key_type, key) do update set
    request_id = excluded.request_id, owner_type = excluded.owner_type, tax_id_number = excluded.tax_id_number,
    name = excluded.name, trade_name = excluded.trade_name, branch = excluded.branch,
    account_number = excluded.account_number, account_type = excluded.account_type,
    opening_date = excluded.opening_date, removed_at = null, changed_why = excluded.changed_why
  where (n.request_id, n.owner_type, n.tax_id_number, n.name, n.trade_name, n.branch, n.account_number, n.account_type,
         n.opening_date, n.removed_at is null)
    is distinct from
        (excluded.request_id, excluded.owner_type, excluded.tax_id_number, excluded.name, excluded.trade_name,
         excluded.branch, excluded.account_number, excluded.account_type, excluded.opening_date, true);
  return 'APPLIED';
end $$;
comment on function dict.apply_key_event(jsonb) is
  'Applies one key event, which the program has validated: {source, id, type, time, sequence, participant, keyType, key, entry, reason}. An event with a reason is refused. Returns APPLIED, OLDER, REFUSED or DUPLICATE. Runs in the caller''s transaction.';
