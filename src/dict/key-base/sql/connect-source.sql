create or replace function dict.connect_source(name text, source_view regclass, apply_function regprocedure,
  participants text[] default null) returns void
language plpgsql as $$
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
    perform workflow.raise_error('DV_SOURCE_INVALID', 'A source''s name has 1 to 30 lower-case letters, digits and underscores, and begins with a letter.');
  end if;
  perform dict.check_participant(p) from unnest(participants) p;
  select string_agg(c, ', ') into missing from unnest(columns) c
  where not exists (select from pg_attribute a where a.attrelid = source_view and a.attname = c and not a.attisdropped);
  if missing is not null then
    perform workflow.raise_error('DV_SOURCE_INVALID', format('The view does not have the columns %s. It needs those of dict.entries up to opening_date.', missing));
  end if;
  if (select oidvectortypes(p.proargtypes) from pg_proc p where p.oid = apply_function) <> 'text, jsonb, jsonb' then
    perform workflow.raise_error('DV_SOURCE_INVALID', 'The apply function must take (action text, entry jsonb, before jsonb).');
  end if;
  if exists (select from dict.feed_sources f where f.name = connect_source.name) then
    perform workflow.raise_error('DV_SOURCE_INVALID', 'A source with this name is already connected. Disconnect it first.');
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
        f.tax_id_number, f.name, f.trade_name, f.branch, f.account_number, f.account_type, f.bad_date) end,
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
  -- One pass without locks; the keys that differ are then read again, one by one, each under its lock.
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
      'The view cannot be read as a mapping (SQLSTATE %s). Its columns must be text or castable to text, and key must be comparable with text.', sqlstate));
  end;
  insert into dict.feed_sources (name, participants, source_view, apply_function, read_query, differing_query, unnamed_query)
  values (s.name, s.participants, s.source_view, s.apply_function, s.read_query, s.differing_query, s.unnamed_query);
end $$;
comment on function dict.connect_source(text, regclass, regprocedure, text[]) is
  'Connects the participants'' own key tables: a view with the columns of dict.entries, one row for each key, and a function (action text, entry jsonb, before jsonb) that writes repairs to the tables. participants: those that it feeds, null: all. Errors: DV_SOURCE_INVALID, DV_ISPB_INVALID.';
