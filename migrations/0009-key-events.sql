-- Key events in: what a participant's core system says of its keys, received over Pulsar (docs/key-events.md).

create table dict.key_events (
  source      text not null,
  id          text not null,
  type        text not null,
  participant text not null,
  key_type    text not null,
  key         text not null,
  event_time  timestamptz,
  outcome     text not null check (outcome in ('APPLIED', 'OLDER', 'REFUSED')),
  reason      text,
  received_at timestamptz not null,
  primary key (source, id),
  check ((reason is not null) = (outcome = 'REFUSED'))
);
comment on table dict.key_events is
  'The key events received, by CloudEvents source and id, so that each counts once: APPLIED, OLDER than what was applied to its key, or REFUSED with a reason in codes, never values. Falls to retention (KEY_EVENTS_RETENTION_DAYS).';
create index key_events_received on dict.key_events (received_at);
create index key_events_refused on dict.key_events (participant, key_type) where outcome = 'REFUSED';

create table dict.key_event_order (
  participant text not null,
  key_type    text not null,
  key         text not null,
  event_time  timestamptz not null,
  sequence    text,
  source      text not null,
  id          text not null,
  primary key (participant, key_type, key)
);
comment on table dict.key_event_order is
  'The newest event of each key: an older one that comes later is told by it, however much later. Its row is also what two workers with events of one key wait for.';

create function dict.apply_key_event(event jsonb) returns text
language plpgsql security definer set search_path = pg_catalog, dict, workflow, pg_temp as $$
declare
  e record;
  refused text;
begin
  select * into e from jsonb_to_record(event) as x (source text, id text, type text, "time" timestamptz, sequence text,
    participant text, "keyType" text, key text, entry jsonb, reason text);
  refused := coalesce(e.reason, case
    when not exists (select from dict.participants p where p.participant = e.participant) then 'PARTICIPANT_NOT_SERVED'
    -- Its own tables say what its keys are.
    when dict.source_of(e.participant) is not null then 'PARTICIPANT_CONNECTED'
    -- It would make each later event of its key an older one.
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

  -- By time, then by sequence where both have one; of what these don't tell apart, in the order of arrival.
  insert into dict.key_event_order as o (participant, key_type, key, event_time, sequence, source, id)
  values (e.participant, e."keyType", e.key, e."time", e.sequence, e.source, e.id)
  on conflict (participant, key_type, key) do update set
    event_time = excluded.event_time, sequence = excluded.sequence, source = excluded.source, id = excluded.id
  where (excluded.event_time > o.event_time
      or excluded.event_time = o.event_time and coalesce(excluded.sequence collate "C" >= o.sequence collate "C", true))
    -- Once retention has forgotten the event, a replayed topic still is none of our news.
    and (o.source, o.id) <> (excluded.source, excluded.id);
  if not found then
    update dict.key_events k set outcome = 'OLDER' where (k.source, k.id) = (e.source, e.id);
    return 'OLDER';
  end if;

  -- What changed says so by its reason: a customer's change, which is in flight to a repair also shortly after.
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
  'Applies one key event, which the program has validated: {source, id, type, time, sequence, participant, keyType, key, entry, reason}; a reason refuses it. Returns APPLIED, OLDER, REFUSED or DUPLICATE; in the caller''s transaction.';
revoke execute on function dict.apply_key_event(jsonb) from public;

create view dict.key_event_rejects as
select k.source, k.id, k.type, k.participant, k.key_type, k.key, k.reason, k.event_time, k.received_at
from dict.key_events k
where k.outcome = 'REFUSED'
  -- A newer event of the key has told what it should have.
  and not exists (
    select from dict.key_event_order o
    where (o.participant, o.key_type, o.key) = (k.participant, k.key_type, k.key)
      and o.event_time >= coalesce(k.event_time, k.received_at))
  -- DICT has said since that the key base is right as it is.
  and not exists (
    select from dict.sync_verifications s
    where s.participant = k.participant and s.key_type = k.key_type and s.result = 'OK' and s.asked_at > k.received_at);
comment on view dict.key_event_rejects is
  'Key events that could not be used and still matter: no newer event of the key was applied, and DICT has not said OK since.';

create or replace function dict.incomplete(of_participant text, of_key_type text) returns boolean
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
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

create function dict.forget_key_events(days double precision, most integer default 10000) returns integer
language sql security definer set search_path = pg_catalog, dict, workflow, pg_temp as $$
  with old as (
    delete from dict.key_events
    where ctid = any (array(
      select ctid from dict.key_events where received_at < workflow.now() - days * interval '1 day' limit most))
    returning 1)
  select count(*)::integer from old
$$;
comment on function dict.forget_key_events(double precision, integer) is
  'Forgets received key events older than so many days, at most `most`; returns how many. What is newest of each key stays in dict.key_event_order.';
revoke execute on function dict.forget_key_events(double precision, integer) from public;
