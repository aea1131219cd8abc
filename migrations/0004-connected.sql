-- Connected mode: the key base is fed from the participant's own tables, and repairs are written to them.

create type dict.key_ref as (participant text, key_type text, key text);
comment on type dict.key_ref is 'Names a key: what a mapping''s functions answer.';

-- A key as the mapping's view shows it: found or not, and why it cannot be used (reason), if so.
create type dict.fed_row as (
  participant text, key_type text, key text, found boolean, reason text, request_id text, owner_type text,
  tax_id_number text, name text, trade_name text, branch text, account_number text, account_type text,
  opening_date timestamptz);

create table dict.feed_sources (
  name           text primary key check (name ~ '^[a-z][a-z0-9_]{0,29}$'),
  participants   text[],
  source_view    text not null,
  apply_function text not null,
  read_query     text not null,
  differing_query text not null,
  unnamed_query  text not null,
  several_tables boolean not null default false,
  connected_at   timestamptz not null default workflow.now(),
  loaded_at      timestamptz
);
comment on table dict.feed_sources is
  'The participants'' own key tables that feed dict.entries (docs/connected.md): the view that shows them, the function that writes repairs, and the queries made of the view.';
comment on column dict.feed_sources.participants is 'Whom it feeds; null: everyone.';
comment on column dict.feed_sources.several_tables is
  'Two transactions can then change one key without meeting in any row: what they fed is looked at again once both have ended.';

create table dict.feed_tables (
  source        text not null references dict.feed_sources on delete cascade,
  table_name    text not null,
  keys_function text not null,
  columns       text[],
  primary key (source, table_name)
);
comment on table dict.feed_tables is
  'The tables whose changes feed: by triggers dict_vsync_<source>_insert, _update, _delete and _truncate.';

create table dict.feed_rejects (
  source      text not null references dict.feed_sources on delete cascade,
  participant text not null,
  key_type    text not null,
  key         text not null,
  reason      text not null,
  since       timestamptz not null default workflow.now(),
  primary key (source, participant, key_type, key)
);
comment on table dict.feed_rejects is
  'Keys of a source that cannot be used and are in no VSync: the reason as a code, or the SQLSTATE of what the mapping raised; values are never kept. Goes when the key becomes usable. Without participant, key type and key: the mapping as a whole.';

create table dict.feed_queue (
  id           bigint generated always as identity primary key,
  source       text not null references dict.feed_sources on delete cascade,
  participant  text,
  key_type     text,
  key          text,
  missed       boolean not null,
  settle_after xid8
);
comment on table dict.feed_queue is
  'Keys to look at again: those another transaction held while they changed (missed), and those of a source of several tables. No key: all of the source. Only ever appended to by writers. Worked off by dict.settle_feed.';
comment on column dict.feed_queue.settle_after is
  'Set when first seen: once every transaction before this id has ended, nothing that ran beside the change can be unseen any more.';
create index feed_queue_missed on dict.feed_queue (participant, key_type, key) where missed and settle_after is null;
create index feed_queue_due on dict.feed_queue (settle_after);

-- Reading the mapping ----------------------------------------------------------------------------------------------------

create function dict.to_time(value text) returns timestamptz
language plpgsql stable as $$
begin
  return value::timestamptz;
exception when others then
  return null;
end $$;

create function dict.feed_reason(s_participants text[], participant text, key_type text, key text, times bigint,
  request_id text, owner_type text, tax_id_number text, name text, account_number text, account_type text,
  bad_date boolean) returns text
language sql immutable as $$
  select case
    when participant !~ '^[0-9]{8}$' or participant <> all (s_participants) then 'PARTICIPANT_INVALID'
    when key_type <> all (dict.key_types()) then 'KEY_TYPE_UNKNOWN'
    -- DICT API 2.6.1, Key: at most 77 characters.
    when length(key) > 77 then 'KEY_INVALID'
    when times > 1 then 'KEY_TWICE'
    when coalesce(request_id, '') = '' then 'REQUEST_ID_MISSING'
    when request_id !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then 'REQUEST_ID_INVALID'
    when owner_type is null then 'OWNER_TYPE_MISSING'
    when tax_id_number is null then 'TAX_ID_NUMBER_MISSING'
    when name is null then 'NAME_MISSING'
    when account_number is null then 'ACCOUNT_NUMBER_MISSING'
    when account_type is null then 'ACCOUNT_TYPE_MISSING'
    when bad_date then 'OPENING_DATE_INVALID'
  end
$$;

-- A key the mapping cannot name whole is kept under what it does name; cut, because an index has its limits.
create function dict.reject_ref(ref dict.key_ref) returns dict.key_ref
language sql immutable as $$
  select (left(coalesce((ref).participant, ''), 40), left(coalesce((ref).key_type, ''), 40),
    left(coalesce((ref).key, ''), 100))::dict.key_ref
$$;

create function dict.is_named(ref dict.key_ref) returns boolean
language sql immutable as $$ select coalesce((ref).participant <> '' and (ref).key_type <> '' and (ref).key <> '', false) $$;

-- Feeding ----------------------------------------------------------------------------------------------------------------
-- These run as the owner, called by the functions below; nobody else may.

create function dict.note_reject(source text, ref dict.key_ref, why text) returns void
language sql as $$
  insert into dict.feed_rejects as r (source, participant, key_type, key, reason)
  select note_reject.source, k.participant, k.key_type, k.key, why from dict.reject_ref(ref) k
  on conflict on constraint feed_rejects_pkey do update set reason = excluded.reason, since = excluded.since
  where r.reason <> excluded.reason
$$;

create function dict.feed_batch(s dict.feed_sources, refs dict.key_ref[]) returns void
language plpgsql as $$
declare
  why text := nullif(current_setting('dict_vsync.why', true), '');
  missed dict.key_ref[];
  named dict.key_ref[];
  rows dict.fed_row[];
  ref dict.key_ref;
  shown boolean;
begin
  -- Lock first, then look: the next statement sees all that committed before the lock was had. A key that another
  -- transaction holds is not waited for; it is looked at again (dict.settle_feed).
  with asked as (select distinct u.* from unnest(refs) u where dict.is_named(u)),
  known as materialized (
    select e.participant, e.key_type, e.key from asked a join dict.entries e using (participant, key_type, key)),
  locked as materialized (
    select e.participant, e.key_type, e.key from dict.entries e
    where (e.participant, e.key_type, e.key) in (select a.participant, a.key_type, a.key from asked a)
    for no key update skip locked)
  select coalesce(array_agg((k.participant, k.key_type, k.key)::dict.key_ref), '{}') into missed
  from known k where not exists (
    select from locked l where (l.participant, l.key_type, l.key) = (k.participant, k.key_type, k.key));

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
  select missed || coalesce(array_agg((r.participant, r.key_type, r.key)::dict.key_ref), '{}') into missed
  from unnest(rows) r
  where r.found and r.reason is null
    and not exists (select from dict.entries k where (k.participant, k.key_type, k.key) = (r.participant, r.key_type, r.key))
    and not exists (select from inserted i where (i.participant, i.key_type, i.key) = (r.participant, r.key_type, r.key));

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

create function dict.queue_keys(of_source text, refs dict.key_ref[], were_missed boolean) returns void
language sql as $$
  insert into dict.feed_queue (source, participant, key_type, key, missed)
  select of_source, u.participant, u.key_type, u.key, were_missed from unnest(refs) u
$$;

-- Feeds keys, one by one where it must be. Null when done; else the SQLSTATE of a mapping that is broken as a whole
-- (class 42: a table, column, function or right is missing), and nothing is fed.
create function dict.feed_keys(s dict.feed_sources, refs dict.key_ref[]) returns text
language plpgsql as $$
declare
  state text;
  half integer := cardinality(refs) / 2;
begin
  if cardinality(refs) = 0 then
    return null;
  end if;
  begin
    perform dict.feed_batch(s, refs);
    return null;
  exception when others then
    state := sqlstate;
  end;
  if state like '42%' then
    return state;
  end if;
  if cardinality(refs) > 1 then
    -- Of many keys that are held, each would cost a millisecond: the settling has the time.
    if cardinality(refs) > 100 and dict.is_passing(state) then
      perform dict.queue_keys(s.name, refs, true);
      return null;
    end if;
    return coalesce(dict.feed_keys(s, refs[:half]), dict.feed_keys(s, refs[half + 1:]));
  end if;
  if not dict.is_passing(state) then
    begin
      -- What cannot be read is in no VSync.
      update dict.entries e set removed_at = workflow.now()
      where (e.participant, e.key_type, e.key) = (refs[1].participant, refs[1].key_type, refs[1].key) and e.removed_at is null;
      perform dict.note_reject(s.name, refs[1], state);
      return null;
    exception when others then
      null;
    end;
  end if;
  perform dict.queue_keys(s.name, refs, true);
  return null;
end $$;

create function dict.is_passing(state text) returns boolean
language sql immutable as $$ select left(state, 2) in ('40', '53', '55', '57', '58') $$;
comment on function dict.is_passing(text) is
  'Whether a SQLSTATE is of something that may pass: a lost race, a lock, resources, an operator, the system.';

-- Chunks bound the memory of one statement, and a chunk touches each VSync bucket at most once.
create function dict.feed_in_chunks(s dict.feed_sources, refs dict.key_ref[]) returns text
language plpgsql as $$
declare
  state text;
begin
  for i in 1 .. cardinality(refs) by 50000 loop
    state := dict.feed_keys(s, refs[i:i + 49999]);
    exit when state is not null;
  end loop;
  return state;
end $$;

create function dict.feed_differing(s dict.feed_sources) returns bigint
language plpgsql as $$
declare
  chunk dict.key_ref[];
  fed bigint := 0;
  state text;
begin
  -- The keys are those of committed rows: who changes them meanwhile sees them, and feeds them too.
  s.several_tables := false;
  for chunk in execute s.differing_query using s.participants, s.name loop
    state := dict.feed_keys(s, chunk);
    if state is not null then
      raise exception using errcode = state, message = 'the mapping is broken';
    end if;
    fed := fed + cardinality(chunk);
  end loop;
  return fed;
end $$;

create function dict.note_broken(of_source text, state text) returns void
language plpgsql as $$
begin
  if not exists (select from dict.feed_rejects r where r.source = of_source and (r.participant, r.key_type, r.key) = ('', '', '')) then
    perform dict.note_reject(of_source, ('', '', ''), state);
  end if;
exception when others then
  -- Another writer is noting the same.
  null;
end $$;

-- No writer of the bank fails or waits because of the feed: what it cannot do at once it leaves to dict.settle_feed.
create function dict.feed_changed() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO, YMD' set lock_timeout = '1ms' as $$
declare
  s dict.feed_sources;
  refs dict.key_ref[];
  state text;
begin
  select * into s from dict.feed_sources where name = tg_argv[0];
  if not found then
    return null;
  end if;
  begin
    if tg_op = 'TRUNCATE' then
      perform dict.feed_differing(s);
      return null;
    end if;
    execute case tg_op
      when 'INSERT' then replace(tg_argv[1], 'changed_rows', 'new_rows')
      when 'DELETE' then replace(tg_argv[1], 'changed_rows', 'old_rows')
      else tg_argv[1] end into refs;
  exception when others then
    -- It is not known which keys changed: all are looked at.
    perform dict.note_broken(s.name, sqlstate);
    insert into dict.feed_queue (source, missed) values (s.name, true);
    return null;
  end;
  state := dict.feed_in_chunks(s, coalesce(refs, '{}'));
  if state is not null then
    perform dict.note_broken(s.name, state);
    perform dict.queue_keys(s.name, refs, true);
  end if;
  return null;
exception when others then
  raise warning 'dict-vsync could not follow this change (SQLSTATE %); run dict.load_source(%)', sqlstate, quote_literal(tg_argv[0]);
  return null;
end $$;

create function dict.settle_feed(most integer default 1000) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO, YMD' set lock_timeout = '1ms' as $$
declare
  s dict.feed_sources;
  fresh dict.feed_queue[];
  due dict.feed_queue[];
  refs dict.key_ref[];
  state text;
  settled integer := 0;
begin
  -- One at a time: two would look at the same keys.
  if not pg_try_advisory_xact_lock(hashtext('dict-vsync settle')) then
    return 0;
  end if;
  for s in select * from dict.feed_sources f where exists (select from dict.feed_queue q where q.source = f.name) loop
    begin
      with first as (
        select id from dict.feed_queue where source = s.name and settle_after is null order by id limit most),
      marked as (
        update dict.feed_queue q set settle_after = pg_snapshot_xmax(pg_current_snapshot())
        from first f where q.id = f.id returning q.*)
      select coalesce(array_agg((m.*)::dict.feed_queue), '{}') into fresh from marked m;
      select coalesce(array_agg((q.*)::dict.feed_queue), '{}') into due from (
        select * from dict.feed_queue q
        where q.source = s.name and q.settle_after <= pg_snapshot_xmin(pg_current_snapshot())
          and q.id <> all (array(select f.id from unnest(fresh) f))
        order by q.settle_after limit most) q;

      delete from dict.feed_rejects r where r.source = s.name and (r.participant, r.key_type, r.key) = ('', '', '');
      if exists (select from unnest(fresh || due) q where q.key is null and q.key_type is null and q.participant is null) then
        perform dict.feed_differing(s);
      end if;
      refs := array(
        select distinct (q.participant, q.key_type, q.key)::dict.key_ref from (
          select f.* from unnest(fresh) f where f.missed union all select d.* from unnest(due) d) q
        where coalesce(q.participant, q.key_type, q.key) is not null);
      -- What is looked at again is committed.
      s.several_tables := false;
      -- Few at a time: a key that is held keeps only these from being fed together.
      for i in 1 .. cardinality(refs) by 100 loop
        state := dict.feed_keys(s, refs[i:i + 99]);
        if state is not null then
          raise exception using errcode = state, message = 'the mapping is broken';
        end if;
      end loop;
      delete from dict.feed_queue where id = any (array(select d.id from unnest(due) d));
      settled := settled + cardinality(fresh) + cardinality(due);
    exception when others then
      -- The queue stays as it was, for when the mapping is mended.
      perform dict.note_broken(s.name, sqlstate);
    end;
  end loop;
  return settled;
end $$;
comment on function dict.settle_feed(integer) is
  'Looks again at up to `most` queued keys of each source; returns how many. Called by workers all the time; safe at any moment.';

create function dict.feed_missed(of_participant text, of_key_type text, of_key text) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
  -- Volatile: it must know of what committed while the caller waited for a lock.
  return exists (
      select from dict.feed_queue q where q.missed and q.settle_after is null
        and (q.participant, q.key_type, q.key) = (of_participant, of_key_type, of_key))
    or exists (
      select from dict.feed_queue q join dict.feed_sources f on f.name = q.source
      where q.missed and q.settle_after is null and q.participant is null and q.key_type is null and q.key is null
        and (f.participants is null or of_participant = any (f.participants)));
end $$;
comment on function dict.feed_missed(text, text, text) is
  'Whether a key changed in the bank''s tables and is not yet looked at: to a repair it is in flight.';

-- Connecting -------------------------------------------------------------------------------------------------------------
-- With the caller's rights: triggers go on the bank's tables, and the mapping will run as the owner of this schema.

create function dict.known_source(of_name text) returns dict.feed_sources
language plpgsql stable as $$
declare
  s dict.feed_sources;
begin
  select * into s from dict.feed_sources where name = of_name;
  if not found then
    perform workflow.raise_error('DV_SOURCE_UNKNOWN', 'No source of this name is connected. `dict-vsync connect list` shows them.');
  end if;
  return s;
end $$;

create function dict.connect_source(name text, source_view regclass, apply_function regprocedure,
  participants text[] default null) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  columns constant text[] := array['participant', 'key_type', 'key', 'request_id', 'owner_type', 'tax_id_number', 'name',
    'trade_name', 'branch', 'account_number', 'account_type', 'opening_date'];
  missing text;
  at text;
  same text := $q$e.participant = v.participant::text and e.key_type = v.key_type::text and e.key = v.key::text$q$;
  s dict.feed_sources;
begin
  if source_view is null or apply_function is null then
    perform workflow.raise_error('DV_SOURCE_INVALID', 'A source needs a view that shows its keys, and a function that writes repairs.');
  end if;
  if connect_source.name is null or connect_source.name !~ '^[a-z][a-z0-9_]{0,29}$' then
    perform workflow.raise_error('DV_SOURCE_INVALID', 'A source''s name has 1 to 30 lower-case letters, digits and underscores, a letter first.');
  end if;
  perform dict.check_participant(p) from unnest(participants) p;
  select string_agg(c, ', ') into missing from unnest(columns) c
  where not exists (select from pg_attribute a where a.attrelid = source_view and a.attname = c and not a.attisdropped);
  if missing is not null then
    perform workflow.raise_error('DV_SOURCE_INVALID', format('The view lacks the columns %s. It needs those of dict.entries up to opening_date.', missing));
  end if;
  if (select oidvectortypes(p.proargtypes) from pg_proc p where p.oid = apply_function) <> 'text, jsonb, jsonb' then
    perform workflow.raise_error('DV_SOURCE_INVALID', 'The apply function takes (action text, entry jsonb, before jsonb).');
  end if;
  if exists (select from dict.feed_sources f where f.name = connect_source.name) then
    perform workflow.raise_error('DV_SOURCE_INVALID', 'A source of this name is connected. Disconnect it first.');
  end if;
  if exists (select from dict.feed_sources f
      where f.participants is null or connect_source.participants is null or f.participants && connect_source.participants) then
    perform workflow.raise_error('DV_SOURCE_INVALID', 'Another source feeds one of these participants. One view must show all keys of a participant.');
  end if;

  select case when a.atttypid in ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype)
    then 'v.opening_date::timestamptz' else 'dict.to_time(v.opening_date::text)' end into at
  from pg_attribute a where a.attrelid = source_view and a.attname = 'opening_date';

  s.name := connect_source.name;
  s.participants := connect_source.participants;
  s.source_view := source_view::text;
  s.apply_function := apply_function::regproc::text;
  s.read_query := format($q$
    select coalesce(array_agg((f.participant, f.key_type, f.key, f.found,
      case when f.found then dict.feed_reason($2, f.participant, f.key_type, f.key, f.times, f.request_id, f.owner_type,
        f.tax_id_number, f.name, f.account_number, f.account_type, f.bad_date) end,
      f.request_id, f.owner_type, f.tax_id_number, f.name, f.trade_name, f.branch, f.account_number, f.account_type,
      f.opening_date)::dict.fed_row), '{}')
    from (
      select w.participant, w.key_type, w.key, v.key is not null as found,
        row_number() over same_key as nth, count(*) over same_key as times, lower(v.request_id::text) as request_id,
        v.owner_type::text, v.tax_id_number::text, v.name::text, v.trade_name::text, v.branch::text,
        v.account_number::text, v.account_type::text, %2$s as opening_date,
        v.opening_date is not null and %2$s is null as bad_date
      from unnest($1) w
      left join %1$s v on v.key = w.key and v.participant::text = w.participant and v.key_type::text = w.key_type
      window same_key as (partition by w.participant, w.key_type, w.key)) f
    where f.nth = 1$q$, s.source_view, at);
  -- In one pass and without locks; what differs is then read again, key by key, under its lock.
  s.differing_query := format($q$
    select array_agg(n.ref) from (
      select d.ref, (row_number() over () - 1) / 50000 as chunk from (
        select (v.participant::text, v.key_type::text, v.key::text)::dict.key_ref as ref
        from %1$s v left join dict.entries e on %3$s and e.removed_at is null
        where (e.key, e.request_id::text, e.owner_type, e.tax_id_number, e.name, e.trade_name, e.branch, e.account_number,
            e.account_type, e.opening_date)
          is distinct from (v.key::text, lower(v.request_id::text), v.owner_type::text, v.tax_id_number::text, v.name::text,
            v.trade_name::text, v.branch::text, v.account_number::text, v.account_type::text, %2$s)
        union
        select (e.participant, e.key_type, e.key)::dict.key_ref from dict.entries e
        where e.removed_at is null and ($1 is null or e.participant = any ($1))
          and not exists (select from %1$s v where %3$s)
        union
        select (r.participant, r.key_type, r.key)::dict.key_ref from dict.feed_rejects r where r.source = $2) d) n
    group by n.chunk$q$, s.source_view, at, same);
  s.unnamed_query := format($q$
    select exists (select from %s v where coalesce(v.participant::text, '') = $1 and coalesce(v.key_type::text, '') = $2
      and coalesce(v.key::text, '') = $3)$q$, s.source_view);
  begin
    execute s.read_query using '{}'::dict.key_ref[], s.participants;
    execute s.unnamed_query using '-', '-', '-';
  exception when others then
    perform workflow.raise_error('DV_SOURCE_INVALID', format(
      'The view cannot be read as a mapping (SQLSTATE %s). Its columns must be text, or be castable to it, and key must compare with text.', sqlstate));
  end;
  insert into dict.feed_sources (name, participants, source_view, apply_function, read_query, differing_query, unnamed_query)
  values (s.name, s.participants, s.source_view, s.apply_function, s.read_query, s.differing_query, s.unnamed_query);
end $$;
comment on function dict.connect_source(text, regclass, regprocedure, text[]) is
  'Connects the participants'' own key tables: a view with the columns of dict.entries, one row a key, and a function (action text, entry jsonb, before jsonb) that writes repairs to the tables. participants: whom it feeds, null: everyone. Errors: DV_SOURCE_INVALID, DV_ISPB_INVALID.';

create function dict.feed_table(source text, feeding regclass, keys_function regprocedure, columns text[] default null)
returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  s dict.feed_sources := dict.known_source(source);
  key_columns text[];
  image text := '%1$I::text';
  keys text;
  how text;
begin
  if not exists (select from pg_class c where c.oid = feeding and c.relkind in ('r', 'p')) then
    perform workflow.raise_error('DV_SOURCE_INVALID', 'Only a table can feed: name the tables that the view reads.');
  end if;
  if not exists (
      select from pg_proc p join pg_class c on c.oid = feeding
      where p.oid = keys_function and p.pronargs = 1 and p.proargtypes[0] = c.reltype and p.prorettype = 'dict.key_ref'::regtype) then
    perform workflow.raise_error('DV_SOURCE_INVALID', format('The keys function takes a row of %s and returns setof dict.key_ref.', feeding));
  end if;
  if columns is not null then
    select array_agg(a.attname::text order by a.attnum) into key_columns
    from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
    where i.indrelid = feeding and i.indisprimary;
    if key_columns is null or exists (
        select from unnest(columns) c
        where not exists (select from pg_attribute a where a.attrelid = feeding and a.attname = c and a.attnum > 0 and not a.attisdropped)) then
      perform workflow.raise_error('DV_SOURCE_INVALID', format('Columns can be named for a table with a primary key, and must be its own; look at %s.', feeding));
    end if;
    -- With the key, so that two rows that change places are seen.
    select format('row(%s)::text', string_agg(distinct '%1$I.' || replace(quote_ident(c), '%', '%%'), ', ')) into image
    from unnest(key_columns || columns) c;
  end if;

  keys := format('select array_agg(distinct (k.participant, k.key_type, k.key)::dict.key_ref) from changed_rows r, %s(r::%s) k',
    keys_function::regproc, feeding);
  how := format($q$
    select array_agg(distinct (k.participant, k.key_type, k.key)::dict.key_ref) from (
      select k.* from old_rows r, %1$s(r::%2$s) k where not exists (select from new_rows o where %3$s = %4$s)
      union all
      select k.* from new_rows r, %1$s(r::%2$s) k where not exists (select from old_rows o where %3$s = %4$s)) k$q$,
    keys_function::regproc, feeding, format(image, 'r'), format(image, 'o'));
  execute format('create trigger %I after insert on %s referencing new table as new_rows for each statement execute function dict.feed_changed(%L, %L)',
    'dict_vsync_' || s.name || '_insert', feeding, s.name, keys);
  execute format('create trigger %I after update on %s referencing old table as old_rows new table as new_rows for each statement execute function dict.feed_changed(%L, %L)',
    'dict_vsync_' || s.name || '_update', feeding, s.name, how);
  execute format('create trigger %I after delete on %s referencing old table as old_rows for each statement execute function dict.feed_changed(%L, %L)',
    'dict_vsync_' || s.name || '_delete', feeding, s.name, keys);
  execute format('create trigger %I after truncate on %s for each statement execute function dict.feed_changed(%L)',
    'dict_vsync_' || s.name || '_truncate', feeding, s.name);
  insert into dict.feed_tables (source, table_name, keys_function, columns)
  values (s.name, feeding::text, keys_function::text, feed_table.columns);
  update dict.feed_sources f set several_tables = (select count(*) > 1 from dict.feed_tables t where t.source = f.name)
  where f.name = s.name;
end $$;
comment on function dict.feed_table(text, regclass, regprocedure, text[]) is
  'Lets a table feed a source: keys_function(row) returns the keys a row touches (setof dict.key_ref). columns: an update feeds only if one of these changed (default: any; needs a primary key). Waits for the table''s writers once. Errors: DV_SOURCE_UNKNOWN, DV_SOURCE_INVALID.';

create function dict.load_source(name text) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO, YMD' as $$
declare
  s dict.feed_sources := dict.known_source(name);
  fed bigint;
begin
  perform pg_advisory_xact_lock(hashtext('dict-vsync load'), hashtext(s.name));
  delete from dict.feed_rejects r where r.source = s.name and (r.participant, r.key_type, r.key) = ('', '', '');
  begin
    fed := dict.feed_differing(s);
  exception when others then
    if dict.is_passing(sqlstate) then
      raise;
    end if;
    perform workflow.raise_error('DV_SOURCE_FAILED', format('The mapping of source %s failed with SQLSTATE %s. Mend it, then load again.', s.name, sqlstate));
  end;
  update dict.feed_sources f set loaded_at = workflow.now() where f.name = s.name;
  return fed;
end $$;
comment on function dict.load_source(text) is
  'Makes dict.entries equal to what a source''s view shows, in one transaction, beside its writers; to be repeated at will. Returns how many keys differed (those that cannot be used among them). Errors: DV_SOURCE_UNKNOWN, DV_SOURCE_FAILED.';

create function dict.disconnect_source(name text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  s dict.feed_sources := dict.known_source(name);
  t record;
begin
  -- By the triggers themselves: a table may have been renamed, or dropped.
  for t in
    select g.tgname, g.tgrelid::regclass as feeding from pg_trigger g
    where g.tgfoid = 'dict.feed_changed'::regproc and g.tgparentid = 0
      and split_part(encode(g.tgargs, 'escape'), '\000', 1) = s.name
  loop
    execute format('drop trigger %I on %s', t.tgname, t.feeding);
  end loop;
  delete from dict.feed_sources f where f.name = s.name;
end $$;
comment on function dict.disconnect_source(text) is
  'Takes a source''s triggers away and forgets it. dict.entries stays as it is, and repairs are written there from now on. Errors: DV_SOURCE_UNKNOWN.';

-- Repairing ----------------------------------------------------------------------------------------------------------------

create function dict.source_of(of_participant text) returns text
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select f.name from dict.feed_sources f where f.participants is null or of_participant = any (f.participants)
$$;
comment on function dict.source_of(text) is 'The source that feeds a participant; null when none is connected.';

create function dict.refeed(of_source text, refs dict.key_ref[]) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO, YMD' set lock_timeout = '1ms' as $$
declare
  state text := dict.feed_in_chunks(dict.known_source(of_source), refs);
begin
  if state is not null then
    raise exception using errcode = state, message = 'the mapping is broken';
  end if;
end $$;
comment on function dict.refeed(text, dict.key_ref[]) is 'Reads keys of a source again, whatever its triggers saw.';

create function dict.apply_to_source(of_source text, of_participant text, of_key_type text, of_why text, writes jsonb,
  out missed bigint, out disagreeing bigint, out reason text)
language plpgsql set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO, YMD' set lock_timeout = '200ms' as $$
declare
  s dict.feed_sources := dict.known_source(of_source);
  w record;
begin
  begin
    perform set_config('dict_vsync.why', coalesce(of_why, ''), true);
    for w in
      select x.key, x.entry, dict.entry_json(e) as before
      from jsonb_to_recordset(writes) as x (key text, entry jsonb)
      left join dict.entries e on (e.participant, e.key_type, e.key) = (of_participant, of_key_type, x.key) and e.removed_at is null
      order by x.key
    loop
      execute format('select %s($1, $2, $3)', s.apply_function)
      using case when w.entry is null then 'REMOVE' when w.before is null then 'ADD' else 'CORRECT' end, w.entry, w.before;
    end loop;
    perform dict.refeed(s.name, array(
      select (of_participant, of_key_type, x.key)::dict.key_ref from jsonb_to_recordset(writes) as x (key text)));
    perform set_config('dict_vsync.why', '', true);
  exception when others then
    if dict.is_passing(sqlstate) then
      raise;
    end if;
    perform workflow.raise_error('DV_SOURCE_FAILED', format(
      'The apply function of source %s failed with SQLSTATE %s. Nothing of this chunk was repaired; mend the function, then retry the run.', s.name, sqlstate));
  end;

  -- Whoever changed one of these rows while we waited for it must not lose the change.
  select count(*) filter (where dict.feed_missed(of_participant, of_key_type, x.key)),
    count(*) filter (where (e.key is not null) <> (x.entry is not null) or e.cid <> dict.cid((x.entry ->> 'requestId')::uuid,
      of_key_type, x.key, x.entry ->> 'taxIdNumber', x.entry ->> 'name', x.entry ->> 'tradeName', of_participant,
      x.entry ->> 'branch', x.entry ->> 'accountNumber', x.entry ->> 'accountType')),
    min(r.reason)
  into missed, disagreeing, reason
  from jsonb_to_recordset(writes) as x (key text, entry jsonb)
  left join dict.entries e on (e.participant, e.key_type, e.key) = (of_participant, of_key_type, x.key) and e.removed_at is null
  left join dict.feed_rejects r on r.source = s.name and (r.participant, r.key_type, r.key) = (of_participant, of_key_type, x.key);
end $$;
comment on function dict.apply_to_source(text, text, text, text, jsonb) is
  'Writes repairs ([{key, entry}]; entry null: remove) through a source''s apply function, with the caller''s rights, and reads the keys back: how many changed meanwhile, how many are not what was intended, and a reject''s reason. Errors: DV_SOURCE_UNKNOWN, DV_SOURCE_FAILED.';

-- Reading ----------------------------------------------------------------------------------------------------------------------

create function dict.incomplete(of_participant text, of_key_type text) returns boolean
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
$$;
comment on function dict.incomplete(text, text) is
  'Whether a VSync lacks keys that the participant''s own tables have: some cannot be used (dict.feed_rejects), or the source was never loaded.';

create or replace view dict.vsyncs as
select p.participant, t.key_type, v.entries, v.vsync, s.scanned_at, s.mended_buckets,
  dict.incomplete(p.participant, t.key_type) as incomplete
from dict.known_participants p
cross join unnest(dict.key_types()) as t (key_type)
cross join lateral dict.vsync(p.participant, t.key_type) v
left join dict.vsync_scans s on s.participant = p.participant and s.key_type = t.key_type;
comment on view dict.vsyncs is
  'The five VSyncs of each participant, the number of entries, their last full scan, and whether they lack keys of a connected table.';

do $$
begin
  -- Appended to what is there, whatever that is by now.
  execute format('create or replace view dict.sync_status as select v.*, dict.incomplete(v.participant, v.key_type) as incomplete from (%s) v',
    rtrim(pg_get_viewdef('dict.sync_status'::regclass), ';'));
end $$;
comment on view dict.sync_status is
  'Per participant and key type: DICT''s last answer, the last OK and its age (the regulator allows 36 hours), the open reconciliation, and whether the VSync lacks keys of a connected table.';

do $$
declare
  f regprocedure;
begin
  -- What runs a mapping runs it as the owner: whoever may execute these could run any function so.
  for f in
    select p.oid::regprocedure from pg_proc p where p.pronamespace = 'dict'::regnamespace and p.proname in (
      'note_reject', 'feed_batch', 'queue_keys', 'feed_keys', 'feed_in_chunks', 'feed_differing', 'note_broken', 'feed_changed',
      'connect_source', 'feed_table', 'load_source', 'disconnect_source')
  loop
    execute format('revoke execute on function %s from public', f);
  end loop;
end $$;
