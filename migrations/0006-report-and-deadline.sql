-- What the person who approves is told, and the watch over the regulator's deadline.

alter table dict.rounds add column approval_threshold bigint;
comment on column dict.rounds.approval_threshold is
  'MANUAL_APPROVAL_THRESHOLD of the worker that judged the round: more divergent CIDs than this, over all rounds, ask a person.';

-- Deadline watch -------------------------------------------------------------------------------------------------------------

create table dict.sync_deadline (
  one_row boolean primary key default true check (one_row),
  hours   double precision not null default 36 check (hours > 0)
);
insert into dict.sync_deadline default values;
comment on table dict.sync_deadline is
  'How far apart two OKs of a participant and key type may be: SYNC_DEADLINE_HOURS, as the last worker was configured (Manual de Tempos do Pix: 36 hours).';

create table dict.deadline_alerts (
  participant  text not null,
  key_type     text not null,
  counted_from timestamptz not null,
  hours        double precision not null,
  raised_at    timestamptz not null,
  primary key (participant, key_type, counted_from)
);
comment on table dict.deadline_alerts is
  'Each time the deadline was missed, once: counted_from is the last OK (or when the participant was configured), so that a later OK, missed again, is another alert.';

-- The last OK, also where there are thousands of NOKs after it.
create index sync_verifications_ok on dict.sync_verifications (participant, key_type, answered_at desc) where result = 'OK';

create view dict.deadlines as
select p.participant, t.key_type, ok.answered_at as last_ok_at, c.counted_from,
  c.counted_from + d.hours * interval '1 hour' as deadline_at,
  c.counted_from + d.hours * interval '1 hour' < workflow.now() as missed,
  a.raised_at as alerted_at
from dict.participants p
cross join unnest(dict.key_types()) as t (key_type)
cross join dict.sync_deadline d
left join lateral (
  select max(answered_at) as answered_at from dict.sync_verifications s
  where s.participant = p.participant and s.key_type = t.key_type and s.result = 'OK') ok on true
cross join lateral (select coalesce(ok.answered_at, p.configured_at) as counted_from) c
left join dict.deadline_alerts a on (a.participant, a.key_type, a.counted_from) = (p.participant, t.key_type, c.counted_from);
comment on view dict.deadlines is
  'Per configured participant and key type: until when the next OK must come (counted from the last one, or from when the participant was configured), whether that was missed, and when the alert was raised.';

-- Appends to what sync_status has by now, whatever an earlier migration made of it.
do $$
begin
  execute format(
    'create or replace view dict.sync_status as
     select s.*, d.deadline_at, coalesce(d.missed, false) as deadline_missed, d.alerted_at as deadline_alerted_at
     from (%s) s left join dict.deadlines d using (participant, key_type)',
    rtrim(pg_get_viewdef('dict.sync_status'::regclass), ';'));
end $$;
comment on view dict.sync_status is
  'Per participant and key type: DICT''s last answer, the last OK and its age, the open reconciliation; for configured participants the deadline of the next OK (the regulator allows 36 hours) and whether it was missed.';

create function dict.check_deadlines(hours double precision default null)
returns table (participant text, key_type text, last_ok_at timestamptz, counted_from timestamptz, deadline_at timestamptz)
language plpgsql security definer set search_path = pg_catalog, dict, workflow as $$
#variable_conflict use_column
declare
  allowed double precision := coalesce(check_deadlines.hours, (select d.hours from dict.sync_deadline d));
  utc constant text := 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"';
  r record;
begin
  -- In one order for all callers: each message locks its counter.
  for r in
    select d.*, s.last_result, s.open_reconciliation, d.counted_from + allowed * interval '1 hour' as due
    from dict.deadlines d join dict.sync_status s using (participant, key_type)
    where d.counted_from + allowed * interval '1 hour' < workflow.now()
      and not exists (select from dict.deadline_alerts a
        where a.participant = d.participant and a.key_type = d.key_type and a.counted_from = d.counted_from)
    order by d.participant, d.key_type
  loop
    -- Of several callers at once one inserts; the others wait for it, and then have nothing to tell.
    insert into dict.deadline_alerts (participant, key_type, counted_from, hours, raised_at)
    values (r.participant, r.key_type, r.counted_from, allowed, workflow.now())
    on conflict do nothing;
    continue when not found;
    perform dict.publish(r.participant, r.key_type, 'sync.deadline_missed',
      jsonb_build_object(
        'hours', allowed,
        'lastOkAt', to_char(r.last_ok_at at time zone 'UTC', utc),
        'countedFrom', to_char(r.counted_from at time zone 'UTC', utc),
        'deadlineAt', to_char(r.due at time zone 'UTC', utc),
        'lastResult', r.last_result,
        'openReconciliation', r.open_reconciliation), null);
    participant := r.participant;
    key_type := r.key_type;
    last_ok_at := r.last_ok_at;
    counted_from := r.counted_from;
    deadline_at := r.due;
    return next;
  end loop;
end $$;
comment on function dict.check_deadlines(double precision) is
  'Raises sync.deadline_missed, once a breach, for each configured participant and key type without an OK within so many hours (null: dict.sync_deadline); returns what it raised. Called by workers every minute; safe at any moment, by several at once.';
