-- Feeds these keys of a connected table to dict.entries in one pass. Runs as the owner and is called only by
-- dict.feed_keys.
create or replace function dict.feed_batch(s dict.feed_sources, refs dict.key_ref[]) returns void
language plpgsql as $$
declare
  why text := nullif(current_setting('dict_vsync.why', true), '');
  missed dict.key_ref[];
  named dict.key_ref[];
  rows dict.fed_row[];
  ref dict.key_ref;
  shown boolean;
begin
  -- Locks first and reads then: the next statement sees all that committed before the lock was taken. It does not wait
  -- for
  -- a key that another transaction has locked; such a key is read again later (dict.process_feed_queue).
  with asked as (select distinct u.* from unnest(refs) u where dict.is_named(u)),
  known as materialized (
    select e.participant, e.key_type, e.key from asked a join dict.entries e using (participant, key_type, key)),
  locked as materialized (
    select e.participant, e.key_type, e.key from dict.entries e
    where (e.participant, e.key_type, e.key) in (select a.participant, a.key_type, a.key from asked a)
    for no key update skip locked)
  select coalesce(array_agg((k.participant, k.key_type, k.key)::dict.key_ref), '{}') into missed
  from (table known except table locked) k;

  select coalesce(array_agg((n.participant, n.key_type, n.key)::dict.key_ref), '{}') into named
  from (select u.* from unnest(refs) u where dict.is_named(u) except select m.* from unnest(missed) m) n;
  execute s.read_query into rows using named, s.participants;

  update dict.entries e set request_id = r.request_id::uuid, owner_type = r.owner_type, tax_id_number = r.tax_id_number,
    name = r.name, trade_name = r.trade_name, branch = r.branch, account_number = r.account_number,
    account_type = r.account_type, opening_date = r.opening_date, removed_at = null, changed_why = why
  from unnest(rows) r
  where r.found and r.reason is null
    and (e.participant, e.key_type, e.key) = (r.participant, r.key_type, r.key)
    and (e.request_id::text, e.owner_type, e.tax_id_number, e.name, e.trade_name, e.branch, e.account_number, e.account_type,
         e.opening_date, e.removed_at is null)
      is distinct from
        (r.request_id, r.owner_type, r.tax_id_number, r.name, r.trade_name, r.branch, r.account_number, r.account_type,
         r.opening_date, true);

  with inserted as (
    insert into dict.entries as e (participant, key_type, key, request_id, owner_type, tax_id_number, name, trade_name,
      branch, account_number, account_type, opening_date, changed_why)
    select r.participant, r.key_type, r.key, r.request_id::uuid, r.owner_type, r.tax_id_number, r.name, r.trade_name,
      r.branch, r.account_number, r.account_type, r.opening_date, why
    from unnest(rows) r
    where r.found and r.reason is null and not exists (
      select from dict.entries k where (k.participant, k.key_type, k.key) = (r.participant, r.key_type, r.key))
    order by r.participant, r.key_type, r.key
    on conflict do nothing
    returning e.participant, e.key_type, e.key)
  select missed || coalesce(array_agg((n.participant, n.key_type, n.key)::dict.key_ref), '{}') into missed
  from (
    select r.participant, r.key_type, r.key from unnest(rows) r
    where r.found and r.reason is null and not exists (
      select from dict.entries k where (k.participant, k.key_type, k.key) = (r.participant, r.key_type, r.key))
    -- Not an anti-join: the planner knows the size of neither side, and would join every row with every row.
    except table inserted) n;

  update dict.entries e set removed_at = workflow.now(), changed_why = why
  from unnest(rows) r
  where (not r.found or r.reason is not null) and e.removed_at is null
    and (e.participant, e.key_type, e.key) = (r.participant, r.key_type, r.key);

  delete from dict.feed_rejects j using unnest(rows) r, dict.reject_ref((r.participant, r.key_type, r.key)) k
  where r.reason is null and j.source = s.name and (j.participant, j.key_type, j.key) = (k.participant, k.key_type, k.key);
  perform dict.note_reject(s.name, (r.participant, r.key_type, r.key), r.reason) from unnest(rows) r where r.reason is not null;

  for ref in select distinct k.* from unnest(refs) u, dict.reject_ref(u) k where not dict.is_named(u) loop
    execute s.unnamed_query into shown using ref.participant, ref.key_type, ref.key;
    if shown then
      perform dict.note_reject(s.name, ref,
        case when ref.key = '' then 'KEY_MISSING' when ref.key_type = '' then 'KEY_TYPE_UNKNOWN' else 'PARTICIPANT_INVALID' end);
    else
      delete from dict.feed_rejects j
      where j.source = s.name and (j.participant, j.key_type, j.key) = (ref.participant, ref.key_type, ref.key);
    end if;
  end loop;

  perform dict.queue_keys(s.name, missed, true);
  if s.several_tables then
    perform dict.queue_keys(s.name, named, false);
  end if;
end $$;
