-- What migrating an empty database gives, for reading and for review: made by `npm run db:dump`, used by no program.
-- The texts that make it are in migrations/ and src/**/sql/.
-- pg_dump 15, functions number 1.

--
-- PostgreSQL database dump
--



SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: dict; Type: SCHEMA; Schema: -; Owner: postgres
--

CREATE SCHEMA dict;


ALTER SCHEMA dict OWNER TO postgres;

--
-- Name: workflow; Type: SCHEMA; Schema: -; Owner: postgres
--

CREATE SCHEMA workflow;


ALTER SCHEMA workflow OWNER TO postgres;

--
-- Name: fed_row; Type: TYPE; Schema: dict; Owner: postgres
--

CREATE TYPE dict.fed_row AS (
	participant text,
	key_type text,
	key text,
	found boolean,
	reason text,
	request_id text,
	owner_type text,
	tax_id_number text,
	name text,
	trade_name text,
	branch text,
	account_number text,
	account_type text,
	opening_date timestamp with time zone
);


ALTER TYPE dict.fed_row OWNER TO postgres;

--
-- Name: key_ref; Type: TYPE; Schema: dict; Owner: postgres
--

CREATE TYPE dict.key_ref AS (
	participant text,
	key_type text,
	key text
);


ALTER TYPE dict.key_ref OWNER TO postgres;

--
-- Name: TYPE key_ref; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TYPE dict.key_ref IS 'Names a key. A mapping''s keys functions return this type.';


--
-- Name: analyze_divergences(); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.analyze_divergences() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
begin
  -- Runs as the owner, because a worker's role may not analyze. Unlike VACUUM, ANALYZE can run in a transaction and
  -- sees its writes.
  analyze dict.divergences;
end $$;


ALTER FUNCTION dict.analyze_divergences() OWNER TO postgres;

--
-- Name: FUNCTION analyze_divergences(); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.analyze_divergences() IS 'Updates the planner''s statistics. Called when a comparison has written many divergences: without statistics the planner expects only a few rows in a new run, and its joins then read all rows for each row.';


--
-- Name: apply_key_event(jsonb); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.apply_key_event(event jsonb) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
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


ALTER FUNCTION dict.apply_key_event(event jsonb) OWNER TO postgres;

--
-- Name: FUNCTION apply_key_event(event jsonb); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.apply_key_event(event jsonb) IS 'Applies one key event, which the program has validated: {source, id, type, time, sequence, participant, keyType, key, entry, reason}. An event with a reason is refused. Returns APPLIED, OLDER, REFUSED or DUPLICATE. Runs in the caller''s transaction.';


--
-- Name: apply_to_source(text, text, text, text, jsonb); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.apply_to_source(of_source text, of_participant text, of_key_type text, of_why text, writes jsonb, OUT missed bigint, OUT disagreeing bigint, OUT reason text) RETURNS record
    LANGUAGE plpgsql
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO, YMD'
    SET lock_timeout TO '200ms'
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $_$
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
      'The apply function of source %s failed with SQLSTATE %s. Nothing of this chunk was repaired. Correct the function, then retry the run.', s.name, sqlstate));
  end;

  -- A change that somebody made to one of these rows while we waited for its lock must not be lost.
  select count(*) filter (where dict.feed_missed(of_participant, of_key_type, x.key)),
    count(*) filter (where (e.key is not null) <> (x.entry is not null) or e.cid <> dict.cid((x.entry ->> 'requestId')::uuid,
      of_key_type, x.key, x.entry ->> 'taxIdNumber', x.entry ->> 'name', x.entry ->> 'tradeName', of_participant,
      x.entry ->> 'branch', x.entry ->> 'accountNumber', x.entry ->> 'accountType')),
    min(r.reason)
  into missed, disagreeing, reason
  from jsonb_to_recordset(writes) as x (key text, entry jsonb)
  left join dict.entries e on (e.participant, e.key_type, e.key) = (of_participant, of_key_type, x.key) and e.removed_at is null
  left join dict.feed_rejects r on r.source = s.name and (r.participant, r.key_type, r.key) = (of_participant, of_key_type, x.key);
end $_$;


ALTER FUNCTION dict.apply_to_source(of_source text, of_participant text, of_key_type text, of_why text, writes jsonb, OUT missed bigint, OUT disagreeing bigint, OUT reason text) OWNER TO postgres;

--
-- Name: FUNCTION apply_to_source(of_source text, of_participant text, of_key_type text, of_why text, writes jsonb, OUT missed bigint, OUT disagreeing bigint, OUT reason text); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.apply_to_source(of_source text, of_participant text, of_key_type text, of_why text, writes jsonb, OUT missed bigint, OUT disagreeing bigint, OUT reason text) IS 'Writes repairs ([{key, entry}]; entry null: remove) through a source''s apply function, with the caller''s rights, and reads the keys back. Returns how many changed meanwhile, how many are not as intended, and the reason of a reject. Errors: DV_SOURCE_UNKNOWN, DV_SOURCE_FAILED.';


--
-- Name: approve_reconciliation(uuid, text, text, text); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.approve_reconciliation(run uuid, by_whom text, reason text, set_hash text DEFAULT NULL::text) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  select dict.decide_reconciliation(run, 'approve', by_whom, reason, set_hash)
$$;


ALTER FUNCTION dict.approve_reconciliation(run uuid, by_whom text, reason text, set_hash text) OWNER TO postgres;

--
-- Name: FUNCTION approve_reconciliation(run uuid, by_whom text, reason text, set_hash text); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.approve_reconciliation(run uuid, by_whom text, reason text, set_hash text) IS 'Approves the frozen set with which a reconciliation waits (set_hash: refuse if the set has another hash). Errors: DV_RUN_NOT_FOUND, DV_RUN_NOT_WAITING, DV_SET_MISMATCH, DV_DECISION_UNSIGNED.';


--
-- Name: asked_participants(text); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.asked_participants(participant text) RETURNS SETOF text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  configured text[] := array(select p.participant from dict.participants p order by 1);
begin
  if participant is null then
    if cardinality(configured) = 0 then
      perform workflow.raise_error('DV_PARTICIPANT_MISSING', 'No participant is configured yet. Name one, or start a worker with PARTICIPANT_ISPB set.');
    end if;
    return query select unnest(configured);
    return;
  end if;
  perform dict.check_participant(participant);
  if cardinality(configured) > 0 and participant <> all (configured) then
    perform workflow.raise_error('DV_PARTICIPANT_UNKNOWN', format(
      'Participant %s is not configured. Configured are: %s. To add it, start the workers with its ISPB in PARTICIPANT_ISPB.',
      participant, array_to_string(configured, ', ')));
  end if;
  return next participant;
end $$;


ALTER FUNCTION dict.asked_participants(participant text) OWNER TO postgres;

--
-- Name: bits(bytea); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.bits(cid bytea) RETURNS bit
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (('x'::text || encode(cid, 'hex'::text)))::bit(256);


ALTER FUNCTION dict.bits(cid bytea) OWNER TO postgres;

--
-- Name: FUNCTION bits(cid bytea); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.bits(cid bytea) IS 'A CID as a bit string, because bit_xor does not take bytea.';


--
-- Name: bucket(bytea); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.bucket(cid bytea) RETURNS smallint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (((get_byte(cid, 0) << 4) | (get_byte(cid, 1) >> 4)))::smallint;


ALTER FUNCTION dict.bucket(cid bytea) OWNER TO postgres;

--
-- Name: FUNCTION bucket(cid bytea); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.bucket(cid bytea) IS 'The bucket of a CID: its first 12 bits, 0 to 4095.';


--
-- Name: changed_since(xid8, pg_snapshot); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.changed_since(changed xid8, kept pg_snapshot) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
begin
  -- A transaction id that this cluster has not reached came with a dump of another cluster, so it is not a change made
  -- here.
  return not pg_visible_in_snapshot(changed, kept)
    and (changed < pg_snapshot_xmax(pg_current_snapshot()) or changed = pg_current_xact_id_if_assigned());
end $$;


ALTER FUNCTION dict.changed_since(changed xid8, kept pg_snapshot) OWNER TO postgres;

--
-- Name: FUNCTION changed_since(changed xid8, kept pg_snapshot); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.changed_since(changed xid8, kept pg_snapshot) IS 'Whether a committed change was made after the snapshot. Volatile on purpose: it must see what committed while the caller waited for a lock.';


--
-- Name: check_key_types(text[]); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.check_key_types(asked text[]) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
begin
  if asked is null then
    return dict.key_types();
  end if;
  if cardinality(asked) = 0 or not asked <@ dict.key_types() then
    perform workflow.raise_error('DV_KEY_TYPE_UNKNOWN',
      'Unknown key type. Use one or more of ' || array_to_string(dict.key_types(), ', ') || '.');
  end if;
  return array(select distinct t from unnest(asked) t order by 1);
end $$;


ALTER FUNCTION dict.check_key_types(asked text[]) OWNER TO postgres;

--
-- Name: check_participant(text); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.check_participant(participant text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $_$
begin
  if participant is null or participant !~ '^[0-9]{8}$' then
    perform workflow.raise_error('DV_ISPB_INVALID', 'A participant is named by its ISPB: 8 digits with leading zeros.');
  end if;
end $_$;


ALTER FUNCTION dict.check_participant(participant text) OWNER TO postgres;

--
-- Name: check_warnings(); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.check_warnings() RETURNS TABLE(change text, participant text, key_type text, code text, since timestamp with time zone, count bigint, run_id uuid, error_code text, deadline_at timestamp with time zone, last_ok_at timestamp with time zone)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
#variable_conflict use_column
declare
  settings dict.warning_settings;
  content jsonb;
  r record;
begin
  -- One caller at a time is enough.
  if not pg_try_advisory_xact_lock(hashtext('dict-vsync warnings')) then
    return;
  end if;
  select * into settings from dict.warning_settings;
  -- All callers use the same order, because each message locks its counter.
  for r in
    with present as materialized (select * from dict.warnings),
    raised as materialized (select * from dict.warning_alerts where cleared_at is null)
    select 'CLEARED' as change, a.participant, a.key_type, a.code, a.since, null::bigint as count, null::uuid as run_id,
      null::text as error_code, null::timestamptz as deadline_at, d.last_ok_at
    from raised a left join dict.deadlines d on (d.participant, d.key_type) = (a.participant, a.key_type)
    where not exists (
      select from present w
      where w.participant = a.participant and w.key_type = a.key_type and w.since <= a.raised_at
        -- In the view a missed deadline replaces the earlier warning. Its cause still exists.
        and (w.code = a.code or a.code = 'NO_FRESH_OK' and w.code = 'DEADLINE_MISSED'))
    union all
    select 'RAISED', w.participant, w.key_type, w.code, w.since, w.count, w.run_id, w.error_code, w.deadline_at, w.last_ok_at
    from present w
    where not exists (
      select from raised a
      where a.participant = w.participant and a.key_type = w.key_type and a.code = w.code and w.since <= a.raised_at)
    order by participant, key_type, change, code
  loop
    if r.change = 'CLEARED' then
      update dict.warning_alerts a set cleared_at = workflow.now()
      where a.participant = r.participant and a.key_type = r.key_type and a.code = r.code and a.cleared_at is null;
    else
      insert into dict.warning_alerts (participant, key_type, code, since, raised_at)
      values (r.participant, r.key_type, r.code, r.since, workflow.now());
    end if;
    content := jsonb_build_object('code', r.code, 'since', dict.message_time(r.since),
      'lastOkAt', dict.message_time(r.last_ok_at));
    if r.change = 'RAISED' then
      content := content || jsonb_build_object('count', r.count, 'runId', r.run_id, 'errorCode', r.error_code,
        'deadlineAt', dict.message_time(r.deadline_at));
    end if;
    if r.change = 'RAISED' and r.code = 'DEADLINE_MISSED' then
      perform dict.publish(r.participant, r.key_type, 'sync.deadline_missed',
        (select jsonb_build_object(
          'hours', settings.deadline_hours,
          'lastOkAt', dict.message_time(r.last_ok_at),
          'countedFrom', dict.message_time(r.since),
          'deadlineAt', dict.message_time(r.deadline_at),
          'lastResult', s.last_result,
          'openReconciliation', s.open_reconciliation)
         from dict.sync_status s where s.participant = r.participant and s.key_type = r.key_type), null);
    else
      perform dict.publish(r.participant, r.key_type, 'warning.' || lower(r.change), content, null);
    end if;
    if settings.alerts then
      perform dict.publish(r.participant, r.key_type, 'warning.' || lower(r.change), content, null, 'ALERT');
    end if;
    return query select r.change, r.participant, r.key_type, r.code, r.since, r.count, r.run_id, r.error_code, r.deadline_at,
      r.last_ok_at;
  end loop;
end $$;


ALTER FUNCTION dict.check_warnings() OWNER TO postgres;

--
-- Name: FUNCTION check_warnings(); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.check_warnings() IS 'Raises each warning of dict.warnings once when it begins, and clears it once when its cause has ended: publishes warning.raised (for a missed deadline sync.deadline_missed) and warning.cleared, and alerts if there is an ALERT_URL. Returns what it raised and cleared. Workers call it every minute; it is safe at any moment and from several callers simultaneously.';


--
-- Name: hmac_sha256(bytea, bytea); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.hmac_sha256(data bytea, key bytea) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN dict.hmac(data, key, 'sha256'::text);


ALTER FUNCTION dict.hmac_sha256(data bytea, key bytea) OWNER TO postgres;

--
-- Name: cid(uuid, text, text, text, text, text, text, text, text, text); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.cid(request_id uuid, key_type text, key text, tax_id_number text, name text, trade_name text, participant text, branch text, account_number text, account_type text) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN dict.hmac_sha256((replace(((((((((((((((((COALESCE(key_type, ''::text) || '&'::text) || COALESCE(key, ''::text)) || '&'::text) || COALESCE(tax_id_number, ''::text)) || '&'::text) || COALESCE(name, ''::text)) || '&'::text) || COALESCE(trade_name, ''::text)) || '&'::text) || COALESCE(participant, ''::text)) || '&'::text) || COALESCE(branch, ''::text)) || '&'::text) || COALESCE(account_number, ''::text)) || '&'::text) || COALESCE(account_type, ''::text)), '\'::text, '\\'::text))::bytea, uuid_send(request_id));


ALTER FUNCTION dict.cid(request_id uuid, key_type text, key text, tax_id_number text, name text, trade_name text, participant text, branch text, account_number text, account_type text) OWNER TO postgres;

--
-- Name: FUNCTION cid(request_id uuid, key_type text, key text, tax_id_number text, name text, trade_name text, participant text, branch text, account_number text, account_type text); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.cid(request_id uuid, key_type text, key text, tax_id_number text, name text, trade_name text, participant text, branch text, account_number text, account_type text) IS 'The CID (32 bytes) of an entry: HMAC-SHA256 keyed by the 16 bytes of RequestId over the fields joined by "&", null as "" (DICT API 2.6.1, section on CID).';


--
-- Name: close_reconciliation(uuid, text, text); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.close_reconciliation(run uuid, ended_as text, why text) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  select dict.count_reconciliation(run);
  update dict.reconciliations r set ended_at = workflow.now(), outcome = ended_as, reason = why,
    vsync_after = v.vsync, entries_after = v.entries
  from dict.reconciliations o, dict.vsync(o.participant, o.key_type) v
  where r.run_id = run and o.run_id = run
$$;


ALTER FUNCTION dict.close_reconciliation(run uuid, ended_as text, why text) OWNER TO postgres;

--
-- Name: FUNCTION close_reconciliation(run uuid, ended_as text, why text); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.close_reconciliation(run uuid, ended_as text, why text) IS 'Closes the log row of a reconciliation with its counts and the current VSync.';


--
-- Name: connect_source(text, regclass, regprocedure, text[]); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.connect_source(name text, source_view regclass, apply_function regprocedure, participants text[] DEFAULT NULL::text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $_$
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
end $_$;


ALTER FUNCTION dict.connect_source(name text, source_view regclass, apply_function regprocedure, participants text[]) OWNER TO postgres;

--
-- Name: FUNCTION connect_source(name text, source_view regclass, apply_function regprocedure, participants text[]); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.connect_source(name text, source_view regclass, apply_function regprocedure, participants text[]) IS 'Connects the participants'' own key tables: a view with the columns of dict.entries, one row for each key, and a function (action text, entry jsonb, before jsonb) that writes repairs to the tables. participants: those that it feeds, null: all. Errors: DV_SOURCE_INVALID, DV_ISPB_INVALID.';


--
-- Name: count_reconciliation(uuid); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.count_reconciliation(run uuid) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  update dict.reconciliations r set
    dict_only_cids = c.dict_only, local_only_cids = c.local_only, keys_added = c.added, keys_corrected = c.corrected,
    keys_removed = c.removed, keys_registered = c.registered, keys_in_flight = c.in_flight, keys_held = c.held,
    keys_unsure = c.unsure, quarantined = c.quarantined
  from (select
      count(distinct cid) filter (where side = 'DICT_ONLY') as dict_only,
      count(distinct cid) filter (where side = 'LOCAL_ONLY') as local_only,
      count(*) filter (where decision = 'ADDED') as added,
      count(*) filter (where decision = 'CORRECTED' and side = 'DICT_ONLY') as corrected,
      count(*) filter (where decision = 'REMOVED') as removed,
      count(*) filter (where decision = 'REGISTERED') as registered,
      count(distinct coalesce(key, encode(cid, 'hex'))) filter (where decision = 'IN_FLIGHT') as in_flight,
      count(distinct key) filter (where decision = 'HELD' and round = l.newest) as held,
      count(distinct key) filter (where decision = 'UNSURE' and round = l.newest) as unsure,
      count(distinct cid) filter (where decision = 'QUARANTINED' and round = l.newest) as quarantined
    from dict.divergences d, (select max(round) as newest from dict.rounds where run_id = run) l
    where d.run_id = run) c
  where r.run_id = run
$$;


ALTER FUNCTION dict.count_reconciliation(run uuid) OWNER TO postgres;

--
-- Name: FUNCTION count_reconciliation(run uuid); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.count_reconciliation(run uuid) IS 'Updates the counts in the log row of a reconciliation with what is known so far: each CID once, even if several rounds found it.';


--
-- Name: decide_reconciliation(uuid, text, text, text, text); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.decide_reconciliation(run uuid, signal text, by_whom text, reason text, set_hash text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  frozen text;
begin
  if coalesce(btrim(by_whom), '') = '' or coalesce(btrim(reason), '') = '' then
    perform workflow.raise_error('DV_DECISION_UNSIGNED', 'Say who decides and why. Both are recorded for the auditor.');
  end if;
  -- Locks the run first, so that the wait and its set do not change during these checks.
  perform from workflow.runs where id = run for update;
  if not found then
    perform workflow.raise_error('DV_RUN_NOT_FOUND', format('There is no run %s.', run));
  end if;
  if not workflow.waits_for(run, signal) then
    perform workflow.raise_error('DV_RUN_NOT_WAITING', format('Run %s does not wait for an approval. `dict-vsync describe` shows its state.', run));
  end if;
  frozen := dict.expect_set(run, set_hash);
  perform workflow.signal(run, signal, jsonb_build_object('setHash', frozen), by_whom, reason);
end $$;


ALTER FUNCTION dict.decide_reconciliation(run uuid, signal text, by_whom text, reason text, set_hash text) OWNER TO postgres;

--
-- Name: differing_fields(jsonb, jsonb); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.differing_fields(before jsonb, after jsonb) RETURNS text[]
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  select coalesce(array_agg(part order by place) filter (where differs), '{}')
  from (
    select part, min(n) as place,
      bool_or(coalesce(before ->> field, '') is distinct from coalesce(after ->> field, '')) as differs
    from (values
      (1, 'owner', 'taxIdNumber'), (2, 'owner', 'ownerType'), (3, 'name', 'name'), (4, 'name', 'tradeName'),
      (5, 'branch', 'branch'), (6, 'account', 'accountNumber'), (7, 'account', 'accountType'),
      (8, 'registration', 'requestId')) f (n, part, field)
    where before is not null and after is not null
    group by part) p
$$;


ALTER FUNCTION dict.differing_fields(before jsonb, after jsonb) OWNER TO postgres;

--
-- Name: FUNCTION differing_fields(before jsonb, after jsonb); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.differing_fields(before jsonb, after jsonb) IS 'What differs between two entries of a key: owner, name, branch, account, registration (the RequestId). Empty if one is not known.';


--
-- Name: disconnect_source(text); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.disconnect_source(name text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  s dict.feed_sources := dict.known_source(name);
  t record;
begin
  -- Finds the triggers by their function, because a table may have been renamed or dropped.
  for t in
    select g.tgname, g.tgrelid::regclass as feeding from pg_trigger g
    where g.tgfoid = 'dict.feed_changed'::regproc and g.tgparentid = 0
      and split_part(encode(g.tgargs, 'escape'), '\000', 1) = s.name
  loop
    execute format('drop trigger %I on %s', t.tgname, t.feeding);
  end loop;
  delete from dict.feed_sources f where f.name = s.name;
end $$;


ALTER FUNCTION dict.disconnect_source(name text) OWNER TO postgres;

--
-- Name: FUNCTION disconnect_source(name text); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.disconnect_source(name text) IS 'Removes a source and its triggers. dict.entries stays as it is, and repairs are written there from now on. Errors: DV_SOURCE_UNKNOWN.';


--
-- Name: empty_bucket(text, text, interval); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.empty_bucket(of_participant text, of_policy text, stay_away interval) RETURNS timestamp with time zone
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  -- DICT has fewer tokens than we computed. Its next refill is at an unknown time, so we wait a whole step from now.
  -- The 429 of another call may have asked for a longer wait.
  update dict.rate_limits set tokens = 0, refilled_at = workflow.now(),
    blocked_until = greatest(blocked_until, workflow.now() + stay_away)
  where participant = of_participant and policy = of_policy
  returning coalesce(blocked_until, refilled_at + (dict.refill_step(refill_period, refill_tokens)).step)
$$;


ALTER FUNCTION dict.empty_bucket(of_participant text, of_policy text, stay_away interval) OWNER TO postgres;

--
-- Name: FUNCTION empty_bucket(of_participant text, of_policy text, stay_away interval); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.empty_bucket(of_participant text, of_policy text, stay_away interval) IS 'Handles a 429: empties the local token bucket and stores Retry-After (null: DICT sent none). Returns when to try again.';


--
-- Name: entries_deleted(); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.entries_deleted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
begin
  insert into dict.cid_changes (participant, key_type, key, cid, request_id, came_at, came_xid, left_at, left_why)
  select participant, key_type, key, cid, request_id, since, came_xid, clock_timestamp(), 'deleted' from old_rows
  where not exists (select from old_rows offset 1) and removed_at is null;
  if found then
    return null;
  end if;

  insert into dict.vsync_deltas (participant, key_type, bucket, count_change, xor)
  select participant, key_type, dict.bucket(cid), -count(*), bit_xor(dict.bits(cid))
  from old_rows where removed_at is null group by 1, 2, 3;

  insert into dict.cid_history (participant, key_type, key, cid, request_id, came_at, came_xid, left_why)
  select participant, key_type, key, cid, request_id, since, came_xid, 'deleted' from old_rows where removed_at is null;
  return null;
end $$;


ALTER FUNCTION dict.entries_deleted() OWNER TO postgres;

--
-- Name: entries_inserted(); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.entries_inserted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
begin
  insert into dict.vsync_deltas (participant, key_type, bucket, count_change, xor)
  select participant, key_type, dict.bucket(cid), count(*), bit_xor(dict.bits(cid))
  from new_rows where removed_at is null group by 1, 2, 3;
  return null;
end $$;


ALTER FUNCTION dict.entries_inserted() OWNER TO postgres;

--
-- Name: entries_truncated(); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.entries_truncated() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
begin
  -- TRUNCATE has no transition table, but a BEFORE trigger still sees the rows, and the table is locked exclusively.
  insert into dict.vsync_deltas (participant, key_type, bucket, count_change, xor)
  select participant, key_type, dict.bucket(cid), -count(*), bit_xor(dict.bits(cid))
  from dict.entries where removed_at is null group by 1, 2, 3;

  insert into dict.cid_history (participant, key_type, key, cid, request_id, came_at, came_xid, left_why)
  select participant, key_type, key, cid, request_id, since, came_xid, 'truncated' from dict.entries where removed_at is null;
  return null;
end $$;


ALTER FUNCTION dict.entries_truncated() OWNER TO postgres;

--
-- Name: entries_updated(); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.entries_updated() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  before text;
begin
  -- A short path for one row that keeps its key. It inserts nothing for several rows. If it inserts nothing for one
  -- row,
  -- the rest of the function inserts nothing either.
  insert into dict.cid_changes (participant, key_type, key, cid, request_id, came_at, came_xid, left_at, left_why, new_cid)
  select o.participant, o.key_type, o.key, l.cid, o.request_id, o.since, o.came_xid,
    greatest(o.since, case when n.removed_at is null then n.since else clock_timestamp() end),
    coalesce(n.changed_why, case when n.removed_at is null then 'updated' else 'removed' end), l.new_cid
  from old_rows o, new_rows n, lateral (
    select case when o.removed_at is null then o.cid end as cid, case when n.removed_at is null then n.cid end as new_cid) l
  where not exists (select from old_rows offset 1)
    and n.participant = o.participant and n.key_type = o.key_type and n.key = o.key
    and l.cid is distinct from l.new_cid;
  if found then
    return null;
  end if;

  -- The session plans the joins below once, for the number of rows that its first statement changed; with nested loops
  -- a
  -- million rows would then take hours. If an error occurs, its rollback restores this setting too.
  before := current_setting('enable_nestloop');
  perform set_config('enable_nestloop', 'off', true);

  insert into dict.vsync_deltas (participant, key_type, bucket, count_change, xor)
  select participant, key_type, dict.bucket(cid), sum(change), bit_xor(dict.bits(cid))
  from (select participant, key_type, cid, -1 as change from old_rows where removed_at is null
        union all
        select participant, key_type, cid, 1 from new_rows where removed_at is null) both_sides
  group by 1, 2, 3
  having sum(change) <> 0 or bit_xor(dict.bits(cid)) <> repeat('0', 256)::bit(256);

  -- A CID was removed if no new row of the statement has it for the same key.
  -- Its end is the moment when its successor was added.
  insert into dict.cid_history (participant, key_type, key, cid, request_id, came_at, came_xid, left_at, left_why)
  select o.participant, o.key_type, o.key, o.cid, o.request_id, o.since, o.came_xid,
    greatest(o.since, coalesce(case when n.removed_at is null then n.since end, clock_timestamp())),
    coalesce(n.changed_why, case when n.removed_at is null then 'updated' else 'removed' end)
  from old_rows o
  left join new_rows n using (participant, key_type, key)
  where o.removed_at is null and (n.cid is distinct from o.cid or n.removed_at is not null);

  perform set_config('enable_nestloop', before, true);
  return null;
end $$;


ALTER FUNCTION dict.entries_updated() OWNER TO postgres;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: entries; Type: TABLE; Schema: dict; Owner: postgres
--

CREATE TABLE dict.entries (
    participant text NOT NULL,
    key_type text NOT NULL,
    key text NOT NULL,
    request_id uuid NOT NULL,
    owner_type text NOT NULL,
    tax_id_number text NOT NULL,
    name text NOT NULL,
    trade_name text,
    branch text,
    account_number text NOT NULL,
    account_type text NOT NULL,
    opening_date timestamp with time zone,
    since timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    removed_at timestamp with time zone,
    changed_why text,
    changed_xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    came_xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    cid bytea GENERATED ALWAYS AS (dict.cid(request_id, key_type, key, tax_id_number, name, trade_name, participant, branch, account_number, account_type)) STORED NOT NULL,
    CONSTRAINT entries_participant_check CHECK ((participant ~ '^[0-9]{8}$'::text))
);


ALTER TABLE dict.entries OWNER TO postgres;

--
-- Name: TABLE entries; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TABLE dict.entries IS 'The key base: one row per key, byte-exact as registered at DICT. Removing a key only sets removed_at. Such rows are in no VSync.';


--
-- Name: COLUMN entries.since; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON COLUMN dict.entries.since IS 'When the entry got its current CID. A change of fields outside the CID does not change it.';


--
-- Name: COLUMN entries.changed_why; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON COLUMN dict.entries.changed_why IS 'Why the row last changed, if the writer gave a reason. Kept in the log with the CID that was replaced or removed.';


--
-- Name: COLUMN entries.changed_xid; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON COLUMN dict.entries.changed_xid IS 'The transaction that last changed the row. Compared with a stored snapshot it shows what changed since. Clock times cannot show this, because now() is earlier than the commit.';


--
-- Name: COLUMN entries.came_xid; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON COLUMN dict.entries.came_xid IS 'The transaction that gave the entry its current CID. It shows whether a snapshot saw the CID here. A change of fields outside the CID does not change it.';


--
-- Name: entry_json(dict.entries); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.entry_json(e dict.entries) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  select case when e.key is not null then jsonb_build_object(
    'participant', e.participant, 'keyType', e.key_type, 'key', e.key, 'requestId', e.request_id,
    'ownerType', e.owner_type, 'taxIdNumber', e.tax_id_number, 'name', e.name, 'tradeName', e.trade_name,
    'branch', e.branch, 'accountNumber', e.account_number, 'accountType', e.account_type,
    'openingDate', e.opening_date, 'cid', encode(e.cid, 'hex')) end
$$;


ALTER FUNCTION dict.entry_json(e dict.entries) OWNER TO postgres;

--
-- Name: FUNCTION entry_json(e dict.entries); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.entry_json(e dict.entries) IS 'An entry as divergences and messages to Core-Dict show it.';


--
-- Name: expect_set(uuid, text); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.expect_set(run uuid, set_hash text) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  frozen text;
begin
  select r.set_hash into frozen from dict.rounds r where r.run_id = run order by round desc limit 1;
  if set_hash is not null and lower(set_hash) is distinct from frozen then
    perform workflow.raise_error('DV_SET_MISMATCH', format('The frozen set of run %s is %s, not the one named. Look at the new set before you decide.', run, frozen));
  end if;
  return frozen;
end $$;


ALTER FUNCTION dict.expect_set(run uuid, set_hash text) OWNER TO postgres;

--
-- Name: FUNCTION expect_set(run uuid, set_hash text); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.expect_set(run uuid, set_hash text) IS 'The hash of the frozen set of a reconciliation. Errors: DV_SET_MISMATCH if set_hash (null: any) is another.';


--
-- Name: expired_reconciliations(interval); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.expired_reconciliations(older_than interval) RETURNS SETOF uuid
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  select r.run_id from dict.reconciliations r
  where r.ended_at < workflow.now() - older_than
    and not exists (select from workflow.runs w where w.id = r.run_id and w.closed_at is null)
    -- An open undo still needs the reconciliation, and so do keys that are held because of an undo.
    and not exists (
      select from dict.undos u
      where u.run_id = r.run_id and (u.ended_at is null or u.ended_at >= workflow.now() - older_than
        or exists (select from dict.held_keys h where h.undo_run_id = u.undo_run_id and h.released_at is null)))
$$;


ALTER FUNCTION dict.expired_reconciliations(older_than interval) OWNER TO postgres;

--
-- Name: FUNCTION expired_reconciliations(older_than interval); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.expired_reconciliations(older_than interval) IS 'The reconciliations that retention removes at this age.';


--
-- Name: expired_sync_verifications(interval); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.expired_sync_verifications(older_than interval) RETURNS SETOF uuid
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  select s.id from dict.sync_verifications s
  where s.asked_at < workflow.now() - older_than
    -- A replay of the logs begins at the last OK, and the deadline counts from it.
    and s.id is distinct from (
      select o.id from dict.sync_verifications o
      where o.participant = s.participant and o.key_type = s.key_type and o.result = 'OK'
      order by o.answered_at desc limit 1)
$$;


ALTER FUNCTION dict.expired_sync_verifications(older_than interval) OWNER TO postgres;

--
-- Name: FUNCTION expired_sync_verifications(older_than interval); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.expired_sync_verifications(older_than interval) IS 'The proofs of synchronism that retention removes at this age; never the last OK of a participant and key type.';


--
-- Name: now(); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.now() RETURNS timestamp with time zone
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  select clock_timestamp() + offset_by from workflow.clock
$$;


ALTER FUNCTION workflow.now() OWNER TO postgres;

--
-- Name: FUNCTION now(); Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON FUNCTION workflow.now() IS 'The clock of all workflows: the database''s time plus the offset in workflow.clock. Only tests change the offset.';


--
-- Name: feed_sources; Type: TABLE; Schema: dict; Owner: postgres
--

CREATE TABLE dict.feed_sources (
    name text NOT NULL,
    participants text[],
    source_view text NOT NULL,
    apply_function text NOT NULL,
    read_query text NOT NULL,
    differing_query text NOT NULL,
    unnamed_query text NOT NULL,
    several_tables boolean DEFAULT false NOT NULL,
    connected_at timestamp with time zone DEFAULT workflow.now() NOT NULL,
    loaded_at timestamp with time zone,
    CONSTRAINT feed_sources_name_check CHECK ((name ~ '^[a-z][a-z0-9_]{0,29}$'::text))
);


ALTER TABLE dict.feed_sources OWNER TO postgres;

--
-- Name: TABLE feed_sources; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TABLE dict.feed_sources IS 'The participants'' own key tables that feed dict.entries (docs/guides/connected-tables.md): the view that shows them, the function that writes repairs, and the queries generated from the view.';


--
-- Name: COLUMN feed_sources.participants; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON COLUMN dict.feed_sources.participants IS 'The participants that it feeds. Null: all participants.';


--
-- Name: COLUMN feed_sources.several_tables; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON COLUMN dict.feed_sources.several_tables IS 'Whether a key spans several tables. Two transactions can then change one key without locking the same row, so its keys are read again once both have ended.';


--
-- Name: feed_batch(dict.feed_sources, dict.key_ref[]); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.feed_batch(s dict.feed_sources, refs dict.key_ref[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
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


ALTER FUNCTION dict.feed_batch(s dict.feed_sources, refs dict.key_ref[]) OWNER TO postgres;

--
-- Name: feed_changed(); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.feed_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO, YMD'
    SET lock_timeout TO '1ms'
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
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
    -- It is not known which keys changed, so all keys are read again.
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


ALTER FUNCTION dict.feed_changed() OWNER TO postgres;

--
-- Name: feed_differing(dict.feed_sources); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.feed_differing(s dict.feed_sources) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  chunk dict.key_ref[];
  fed bigint := 0;
  state text;
begin
  -- The keys are those of committed rows. A transaction that changes one of them meanwhile feeds it too.
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


ALTER FUNCTION dict.feed_differing(s dict.feed_sources) OWNER TO postgres;

--
-- Name: feed_in_chunks(dict.feed_sources, dict.key_ref[]); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.feed_in_chunks(s dict.feed_sources, refs dict.key_ref[]) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  state text;
begin
  for i in 1 .. cardinality(refs) by 50000 loop
    state := dict.feed_keys(s, refs[i:i + 49999]);
    exit when state is not null;
  end loop;
  return state;
end $$;


ALTER FUNCTION dict.feed_in_chunks(s dict.feed_sources, refs dict.key_ref[]) OWNER TO postgres;

--
-- Name: feed_keys(dict.feed_sources, dict.key_ref[]); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.feed_keys(s dict.feed_sources, refs dict.key_ref[]) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
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
    -- Each locked key would cost a millisecond here. dict.process_feed_queue has the time for many of them.
    if cardinality(refs) > 100 and dict.is_passing(state) then
      perform dict.queue_keys(s.name, refs, true);
      return null;
    end if;
    return coalesce(dict.feed_keys(s, refs[:half]), dict.feed_keys(s, refs[half + 1:]));
  end if;
  if not dict.is_passing(state) then
    begin
      -- A key that cannot be read must not be in any VSync.
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


ALTER FUNCTION dict.feed_keys(s dict.feed_sources, refs dict.key_ref[]) OWNER TO postgres;

--
-- Name: feed_missed(text, text, text); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.feed_missed(of_participant text, of_key_type text, of_key text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
begin
  -- Volatile: it must see what committed while the caller waited for a lock.
  return exists (
      select from dict.feed_queue q where q.missed and q.look_again_after is null
        and (q.participant, q.key_type, q.key) = (of_participant, of_key_type, of_key))
    or exists (
      select from dict.feed_queue q join dict.feed_sources f on f.name = q.source
      where q.missed and q.look_again_after is null and q.participant is null and q.key_type is null and q.key is null
        and (f.participants is null or of_participant = any (f.participants)));
end $$;


ALTER FUNCTION dict.feed_missed(of_participant text, of_key_type text, of_key text) OWNER TO postgres;

--
-- Name: FUNCTION feed_missed(of_participant text, of_key_type text, of_key text); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.feed_missed(of_participant text, of_key_type text, of_key text) IS 'Whether a key changed in the bank''s tables and has not been read again yet; a repair treats it as in flight.';


--
-- Name: key_types(); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.key_types() RETURNS text[]
    LANGUAGE sql IMMUTABLE
    RETURN ARRAY['CNPJ'::text, 'CPF'::text, 'EMAIL'::text, 'EVP'::text, 'PHONE'::text];


ALTER FUNCTION dict.key_types() OWNER TO postgres;

--
-- Name: FUNCTION key_types(); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.key_types() IS 'BACEN''s key types (DICT API 2.6.1, KeyType), sorted.';


--
-- Name: feed_reason(text[], text, text, text, bigint, text, text, text, text, text, text, text, text, boolean); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.feed_reason(s_participants text[], participant text, key_type text, key text, times bigint, request_id text, owner_type text, tax_id_number text, name text, trade_name text, branch text, account_number text, account_type text, bad_date boolean) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN ((participant !~ '^[0-9]{8}$'::text) OR (participant <> ALL (s_participants))) THEN 'PARTICIPANT_INVALID'::text WHEN (key_type <> ALL (dict.key_types())) THEN 'KEY_TYPE_UNKNOWN'::text WHEN (length(key) > 77) THEN 'KEY_INVALID'::text WHEN (times > 1) THEN 'KEY_TWICE'::text WHEN (COALESCE(request_id, ''::text) = ''::text) THEN 'REQUEST_ID_MISSING'::text WHEN (request_id !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'::text) THEN 'REQUEST_ID_INVALID'::text WHEN (owner_type IS NULL) THEN 'OWNER_TYPE_MISSING'::text WHEN (length(owner_type) > 40) THEN 'OWNER_TYPE_INVALID'::text WHEN (tax_id_number IS NULL) THEN 'TAX_ID_NUMBER_MISSING'::text WHEN (length(tax_id_number) > 40) THEN 'TAX_ID_NUMBER_INVALID'::text WHEN (name IS NULL) THEN 'NAME_MISSING'::text WHEN (length(name) > 300) THEN 'NAME_INVALID'::text WHEN (length(trade_name) > 200) THEN 'TRADE_NAME_INVALID'::text WHEN (length(branch) > 40) THEN 'BRANCH_INVALID'::text WHEN (account_number IS NULL) THEN 'ACCOUNT_NUMBER_MISSING'::text WHEN (length(account_number) > 40) THEN 'ACCOUNT_NUMBER_INVALID'::text WHEN (account_type IS NULL) THEN 'ACCOUNT_TYPE_MISSING'::text WHEN (length(account_type) > 40) THEN 'ACCOUNT_TYPE_INVALID'::text WHEN bad_date THEN 'OPENING_DATE_INVALID'::text ELSE NULL::text END;


ALTER FUNCTION dict.feed_reason(s_participants text[], participant text, key_type text, key text, times bigint, request_id text, owner_type text, tax_id_number text, name text, trade_name text, branch text, account_number text, account_type text, bad_date boolean) OWNER TO postgres;

--
-- Name: feed_table(text, regclass, regprocedure, text[]); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.feed_table(source text, feeding regclass, keys_function regprocedure, columns text[] DEFAULT NULL::text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $_$
declare
  s dict.feed_sources := dict.known_source(source);
  key_columns text[];
  image text := '%1$I::text';
  keys text;
  how text;
begin
  if not exists (select from pg_class c where c.oid = feeding and c.relkind in ('r', 'p')) then
    perform workflow.raise_error('DV_SOURCE_INVALID', 'Only a table can feed. Name the tables that the view reads.');
  end if;
  if not exists (
      select from pg_proc p join pg_class c on c.oid = feeding
      where p.oid = keys_function and p.pronargs = 1 and p.proargtypes[0] = c.reltype and p.prorettype = 'dict.key_ref'::regtype) then
    perform workflow.raise_error('DV_SOURCE_INVALID', format('The keys function must take a row of %s and return setof dict.key_ref.', feeding));
  end if;
  if columns is not null then
    select array_agg(a.attname::text order by a.attnum) into key_columns
    from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
    where i.indrelid = feeding and i.indisprimary;
    if key_columns is null or exists (
        select from unnest(columns) c
        where not exists (
          select from pg_attribute a
          where a.attrelid = feeding and a.attname = c and a.attnum > 0 and not a.attisdropped)) then
      perform workflow.raise_error('DV_SOURCE_INVALID', format('Columns can be named only for a table with a primary key, and must be columns of this table. Check %s.', feeding));
    end if;
    -- The primary key is included, so that two rows that exchange their values are noticed.
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
end $_$;


ALTER FUNCTION dict.feed_table(source text, feeding regclass, keys_function regprocedure, columns text[]) OWNER TO postgres;

--
-- Name: FUNCTION feed_table(source text, feeding regclass, keys_function regprocedure, columns text[]); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.feed_table(source text, feeding regclass, keys_function regprocedure, columns text[]) IS 'Lets a table feed a source: keys_function(row) returns the keys that a row affects (setof dict.key_ref). columns: an update feeds only if one of these changed (default: any column; needs a primary key). Waits once for the table''s writers. Errors: DV_SOURCE_UNKNOWN, DV_SOURCE_INVALID.';


--
-- Name: fold_vsync_deltas(integer); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.fold_vsync_deltas(most integer DEFAULT 20000) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  folded integer;
begin
  -- Only one runs at a time: two would lock the same buckets in different orders.
  if not pg_try_advisory_xact_lock(hashtext('dict-vsync fold')) then
    return 0;
  end if;
  with deltas as (
    delete from dict.vsync_deltas where ctid = any (array(select ctid from dict.vsync_deltas limit most))
    returning participant, key_type, bucket, count_change, xor),
  changes as (
    delete from dict.cid_changes where ctid = any (array(select ctid from dict.cid_changes limit most))
    returning *),
  logged as (
    insert into dict.cid_history
      (participant, key_type, key, cid, request_id, came_at, came_xid, left_at, left_why, left_xid, id)
    overriding system value
    select participant, key_type, key, cid, request_id, came_at, came_xid, left_at, left_why, left_xid, id from changes
    where cid is not null),
  taken as (
    select participant, key_type, bucket, count_change, xor from deltas
    union all
    select participant, key_type, dict.bucket(cid), -1, dict.bits(cid) from changes where cid is not null
    union all
    select participant, key_type, dict.bucket(new_cid), 1, dict.bits(new_cid) from changes where new_cid is not null),
  summed as (
    select participant, key_type, bucket, sum(count_change) as change, bit_xor(xor) as xor
    from taken group by 1, 2, 3),
  written as (
    insert into dict.vsync_buckets as b (participant, key_type, bucket, count, xor)
    select participant, key_type, bucket, change, xor from summed
    on conflict (participant, key_type, bucket) do update set count = b.count + excluded.count, xor = b.xor # excluded.xor
    where excluded.count <> 0 or excluded.xor <> repeat('0', 256)::bit(256))
  select (select count(*) from deltas) + (select count(*) from changes) into folded;
  return folded;
end $$;


ALTER FUNCTION dict.fold_vsync_deltas(most integer) OWNER TO postgres;

--
-- Name: FUNCTION fold_vsync_deltas(most integer); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.fold_vsync_deltas(most integer) IS 'Folds up to `most` deltas, and as many changes of single keys, into their buckets and the log. Returns how many. Workers call it all the time; it is safe at any moment.';


--
-- Name: forget_key_events(double precision, integer); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.forget_key_events(days double precision, most integer DEFAULT 10000) RETURNS integer
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  with old as (
    delete from dict.key_events
    where ctid = any (array(
      select ctid from dict.key_events where received_at < workflow.now() - days * interval '1 day' limit most))
    returning 1)
  select count(*)::integer from old
$$;


ALTER FUNCTION dict.forget_key_events(days double precision, most integer) OWNER TO postgres;

--
-- Name: FUNCTION forget_key_events(days double precision, most integer); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.forget_key_events(days double precision, most integer) IS 'Deletes received key events older than `days`, at most `most`; returns how many. The newest event of each key stays in dict.key_event_order.';


--
-- Name: hash_plan(uuid, integer); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.hash_plan(run uuid, of_round integer) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  hash bytea := sha256('');
  d record;
begin
  for d in
    select side, cid, planned, key from dict.divergences
    where run_id = run and round = of_round and decision = 'PENDING' order by cid
  loop
    hash := sha256(hash || convert_to(concat_ws(' ',
      left(d.side, 1), encode(d.cid, 'hex'), coalesce(d.planned, 'ASK'), d.key), 'UTF8'));
  end loop;
  return encode(hash, 'hex');
end $$;


ALTER FUNCTION dict.hash_plan(run uuid, of_round integer) OWNER TO postgres;

--
-- Name: FUNCTION hash_plan(run uuid, of_round integer); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.hash_plan(run uuid, of_round integer) IS 'The hash of what a round plans: begins with SHA-256 of nothing; then, in ascending CID order, SHA-256 of the last hash and "D|L <cid> <planned, or ASK> <key, if known>". 64 hex digits.';


--
-- Name: hex(bit); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.hex(bits bit) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  select string_agg(lpad(to_hex(substring(bits from i * 32 + 1 for 32)::bit(32)::bigint), 8, '0'), '' order by i)
  from generate_series(0, 7) i
$$;


ALTER FUNCTION dict.hex(bits bit) OWNER TO postgres;

--
-- Name: FUNCTION hex(bits bit); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.hex(bits bit) IS 'A VSync as BACEN writes it: 64 lowercase hex digits.';


--
-- Name: rounds; Type: TABLE; Schema: dict; Owner: postgres
--

CREATE TABLE dict.rounds (
    run_id uuid NOT NULL,
    round integer NOT NULL,
    snapshot pg_snapshot NOT NULL,
    snapshot_at timestamp with time zone NOT NULL,
    margin_starts_at timestamp with time zone NOT NULL,
    found_by text,
    found_by_reason text,
    set_hash text,
    dict_only_cids bigint,
    local_only_cids bigint,
    file_cids bigint,
    file_duplicates bigint,
    compared_at timestamp with time zone,
    approved_by text,
    approved_why text,
    approved_at timestamp with time zone,
    approval_threshold bigint,
    file_id uuid,
    approval_reasons text[] DEFAULT '{}'::text[] NOT NULL,
    CONSTRAINT rounds_found_by_check CHECK ((found_by = ANY (ARRAY['EVENT_LOG'::text, 'FILE'::text])))
);


ALTER TABLE dict.rounds OWNER TO postgres;

--
-- Name: TABLE rounds; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TABLE dict.rounds IS 'One row per round of a reconciliation: the snapshot, taken before the CID file was requested, and the frozen set that the comparison found.';


--
-- Name: COLUMN rounds.snapshot; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON COLUMN dict.rounds.snapshot IS 'What is newer than this is in flight. A round that uses the file of an earlier round has that round''s snapshot.';


--
-- Name: COLUMN rounds.margin_starts_at; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON COLUMN dict.rounds.margin_starts_at IS 'The snapshot''s time minus IN_FLIGHT_MARGIN_SECONDS. What changed after this time is in flight, even if the snapshot sees it.';


--
-- Name: COLUMN rounds.found_by; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON COLUMN dict.rounds.found_by IS 'How the round found what differs: by replaying both event logs since the last OK, or by comparing with DICT''s CID file. found_by_reason says why.';


--
-- Name: COLUMN rounds.set_hash; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON COLUMN dict.rounds.set_hash IS 'The hash of what is planned, by which a person approves it: dict.hash_plan().';


--
-- Name: COLUMN rounds.approval_threshold; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON COLUMN dict.rounds.approval_threshold IS 'MANUAL_APPROVAL_THRESHOLD of the worker that planned the round. More divergent CIDs than this, over all rounds, need a person''s approval.';


--
-- Name: COLUMN rounds.file_id; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON COLUMN dict.rounds.file_id IS 'The row of dict.cid_files that the round compares with. An earlier round may have asked for it.';


--
-- Name: COLUMN rounds.approval_reasons; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON COLUMN dict.rounds.approval_reasons IS 'Why the round needs a person''s approval: CIDS (more than the threshold), DAY (APPROVAL_DAILY_KEYS), SHARE (APPROVAL_BASE_PERCENT), OWNER (a correction changes the owner), UNSEEN (too many to ask DICT before, so a change of owner cannot be excluded). Empty: none is needed.';


--
-- Name: in_flight(xid8, timestamp with time zone, text, dict.rounds); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.in_flight(changed xid8, at timestamp with time zone, why text, r dict.rounds) RETURNS boolean
    LANGUAGE sql
    RETURN (dict.changed_since(changed, (r).snapshot) OR ((at > (r).margin_starts_at) AND (why IS DISTINCT FROM 'imported'::text)) OR ((at > (r).snapshot_at) AND (pg_snapshot_xmax((r).snapshot) > pg_snapshot_xmax(pg_current_snapshot()))));


ALTER FUNCTION dict.in_flight(changed xid8, at timestamp with time zone, why text, r dict.rounds) OWNER TO postgres;

--
-- Name: FUNCTION in_flight(changed xid8, at timestamp with time zone, why text, r dict.rounds); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.in_flight(changed xid8, at timestamp with time zone, why text, r dict.rounds) IS 'Whether a change was made since the round''s snapshot, or within the margin before it (an import only if made since the snapshot).';


--
-- Name: incomplete(text, text); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.incomplete(of_participant text, of_key_type text) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $_$
  select exists (
    select from dict.feed_sources f
    where (f.participants is null or of_participant = any (f.participants))
      and (f.loaded_at is null or exists (
        select from dict.feed_rejects r
        where r.source = f.name
          -- A reject without a participant or key type that we serve may belong to any of them.
          and (r.participant = of_participant or r.participant !~ '^[0-9]{8}$' or r.participant <> all (f.participants))
          and (r.key_type = of_key_type or r.key_type <> all (dict.key_types())))))
  or exists (
    select from dict.key_event_rejects r
    where (r.participant = of_participant or r.participant !~ '^[0-9]{8}$')
      and (r.key_type = of_key_type or r.key_type <> all (dict.key_types()))
      -- If the event names neither, the view dict.key_event_rejects cannot know which OK makes it irrelevant.
      and not exists (
        select from dict.sync_verifications s
        where s.participant = of_participant and s.key_type = of_key_type and s.result = 'OK' and s.asked_at > r.received_at))
$_$;


ALTER FUNCTION dict.incomplete(of_participant text, of_key_type text) OWNER TO postgres;

--
-- Name: FUNCTION incomplete(of_participant text, of_key_type text); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.incomplete(of_participant text, of_key_type text) IS 'Whether a VSync may be missing keys: the participant''s own tables have keys that cannot be used (dict.feed_rejects) or were never loaded, or a key event could not be used (dict.key_event_rejects).';


--
-- Name: is_named(dict.key_ref); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.is_named(ref dict.key_ref) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    RETURN COALESCE((((ref).participant <> ''::text) AND ((ref).key_type <> ''::text) AND ((ref).key <> ''::text)), false);


ALTER FUNCTION dict.is_named(ref dict.key_ref) OWNER TO postgres;

--
-- Name: is_passing(text); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.is_passing(state text) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    RETURN ("left"(state, 2) = ANY (ARRAY['40'::text, '53'::text, '55'::text, '57'::text, '58'::text]));


ALTER FUNCTION dict.is_passing(state text) OWNER TO postgres;

--
-- Name: FUNCTION is_passing(state text); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.is_passing(state text) IS 'Whether a SQLSTATE belongs to a condition that may pass: a lost race, a lock, resources, an operator, the system.';


--
-- Name: known_source(text); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.known_source(of_name text) RETURNS dict.feed_sources
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  s dict.feed_sources;
begin
  select * into s from dict.feed_sources where name = of_name;
  if not found then
    perform workflow.raise_error('DV_SOURCE_UNKNOWN', 'No source with this name is connected. `dict-vsync connect list` shows the sources.');
  end if;
  return s;
end $$;


ALTER FUNCTION dict.known_source(of_name text) OWNER TO postgres;

--
-- Name: load_source(text); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.load_source(name text) RETURNS bigint
    LANGUAGE plpgsql
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO, YMD'
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
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
    perform workflow.raise_error('DV_SOURCE_FAILED', format('The mapping of source %s failed with SQLSTATE %s. Correct it, then load again.', s.name, sqlstate));
  end;
  update dict.feed_sources f set loaded_at = workflow.now() where f.name = s.name;
  return fed;
end $$;


ALTER FUNCTION dict.load_source(name text) OWNER TO postgres;

--
-- Name: FUNCTION load_source(name text); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.load_source(name text) IS 'Makes dict.entries equal to what a source''s view shows, in one transaction, while its writers continue. It may be repeated at any time. Returns how many keys differed, including those that cannot be used. Errors: DV_SOURCE_UNKNOWN, DV_SOURCE_FAILED.';


--
-- Name: log_verification(uuid, jsonb, timestamp with time zone); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.log_verification(run uuid, found_out jsonb, ended timestamp with time zone DEFAULT workflow.now()) RETURNS text
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  insert into dict.verifications as v (run_id, participant, key_types, started_at, ended_at, outcome, results)
  select id, input ->> 'participant', array(
      select t from jsonb_array_elements_text(input -> 'keyTypes') with ordinality as x (t, place)
      where t is not null order by place),
    created_at, ended,
    (select case when bool_or(value ->> 'result' = 'ERROR') then 'INCOMPLETE'
                 when bool_or(value ->> 'result' = 'NOK') then 'OUT_OF_SYNC' else 'IN_SYNC' end from jsonb_each(found_out)),
    found_out
  from workflow.runs where id = run
  on conflict (run_id) do update set ended_at = excluded.ended_at, outcome = excluded.outcome, results = excluded.results
  returning outcome
$$;


ALTER FUNCTION dict.log_verification(run uuid, found_out jsonb, ended timestamp with time zone) OWNER TO postgres;

--
-- Name: FUNCTION log_verification(run uuid, found_out jsonb, ended timestamp with time zone); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.log_verification(run uuid, found_out jsonb, ended timestamp with time zone) IS 'Writes the log row of a verification from {key type: {result, …}}. Returns its outcome: IN_SYNC, OUT_OF_SYNC or INCOMPLETE.';


--
-- Name: mark_reason_given(); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.mark_reason_given() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
begin
  -- touch_entry fires next (triggers fire in the order of their names). The mark distinguishes a reason that was given
  -- again from an old one.
  new.changed_xid := null;
  return new;
end $$;


ALTER FUNCTION dict.mark_reason_given() OWNER TO postgres;

--
-- Name: message_time(timestamp with time zone); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.message_time(at timestamp with time zone) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$ select to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') $$;


ALTER FUNCTION dict.message_time(at timestamp with time zone) OWNER TO postgres;

--
-- Name: FUNCTION message_time(at timestamp with time zone); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.message_time(at timestamp with time zone) IS 'Formats a time as in messages to Core-Dict: ISO 8601, UTC, with milliseconds.';


--
-- Name: note_broken(text, text); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.note_broken(of_source text, state text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
begin
  if not exists (select from dict.feed_rejects r where r.source = of_source and (r.participant, r.key_type, r.key) = ('', '', '')) then
    perform dict.note_reject(of_source, ('', '', ''), state);
  end if;
exception when others then
  -- Another writer records the same.
  null;
end $$;


ALTER FUNCTION dict.note_broken(of_source text, state text) OWNER TO postgres;

--
-- Name: note_reject(text, dict.key_ref, text); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.note_reject(source text, ref dict.key_ref, why text) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  insert into dict.feed_rejects as r (source, participant, key_type, key, reason)
  select note_reject.source, k.participant, k.key_type, k.key, why from dict.reject_ref(ref) k
  on conflict on constraint feed_rejects_pkey do update set reason = excluded.reason, since = excluded.since
  where r.reason <> excluded.reason
$$;


ALTER FUNCTION dict.note_reject(source text, ref dict.key_ref, why text) OWNER TO postgres;

--
-- Name: process_feed_queue(integer); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.process_feed_queue(most integer DEFAULT 1000) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO, YMD'
    SET lock_timeout TO '1ms'
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  s dict.feed_sources;
  fresh dict.feed_queue[];
  due dict.feed_queue[];
  refs dict.key_ref[];
  state text;
  processed integer := 0;
begin
  -- Only one runs at a time: two would read the same keys.
  if not pg_try_advisory_xact_lock(hashtext('dict-vsync feed queue')) then
    return 0;
  end if;
  for s in select * from dict.feed_sources f where exists (select from dict.feed_queue q where q.source = f.name) loop
    begin
      with first as (
        select id from dict.feed_queue where source = s.name and look_again_after is null order by id limit most),
      marked as (
        update dict.feed_queue q set look_again_after = pg_snapshot_xmax(pg_current_snapshot())
        from first f where q.id = f.id returning q.*)
      select coalesce(array_agg((m.*)::dict.feed_queue), '{}') into fresh from marked m;
      select coalesce(array_agg((q.*)::dict.feed_queue), '{}') into due from (
        select * from dict.feed_queue q
        where q.source = s.name and (q.look_again_after <= pg_snapshot_xmin(pg_current_snapshot())
          -- Not reached by this cluster: it came with a dump, and all transactions of that time have ended.
          or q.look_again_after > pg_snapshot_xmax(pg_current_snapshot()))
          and q.id <> all (array(select f.id from unnest(fresh) f))
        order by q.look_again_after limit most) q;

      delete from dict.feed_rejects r where r.source = s.name and (r.participant, r.key_type, r.key) = ('', '', '');
      if exists (select from unnest(fresh || due) q where q.key is null and q.key_type is null and q.participant is null) then
        perform dict.feed_differing(s);
      end if;
      refs := array(
        select distinct (q.participant, q.key_type, q.key)::dict.key_ref from (
          select f.* from unnest(fresh) f where f.missed union all select d.* from unnest(due) d) q
        where coalesce(q.participant, q.key_type, q.key) is not null);
      -- The rows that are read again are committed.
      s.several_tables := false;
      -- Small chunks: a locked key keeps only its own chunk from being fed in one pass.
      for i in 1 .. cardinality(refs) by 100 loop
        state := dict.feed_keys(s, refs[i:i + 99]);
        if state is not null then
          raise exception using errcode = state, message = 'the mapping is broken';
        end if;
      end loop;
      delete from dict.feed_queue where id = any (array(select d.id from unnest(due) d));
      processed := processed + cardinality(fresh) + cardinality(due);
    exception when others then
      -- The queue does not change; it is processed after the mapping is corrected.
      perform dict.note_broken(s.name, sqlstate);
    end;
  end loop;
  return processed;
end $$;


ALTER FUNCTION dict.process_feed_queue(most integer) OWNER TO postgres;

--
-- Name: FUNCTION process_feed_queue(most integer); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.process_feed_queue(most integer) IS 'Reads up to `most` queued keys of each source again; returns how many. Workers call it all the time; it is safe at any moment.';


--
-- Name: publish(text, text, text, jsonb, uuid, text); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.publish(of_participant text, of_key_type text, of_type text, content jsonb, of_run uuid, to_whom text DEFAULT 'CORE_DICT'::text) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
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


ALTER FUNCTION dict.publish(of_participant text, of_key_type text, of_type text, content jsonb, of_run uuid, to_whom text) OWNER TO postgres;

--
-- Name: FUNCTION publish(of_participant text, of_key_type text, of_type text, content jsonb, of_run uuid, to_whom text); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.publish(of_participant text, of_key_type text, of_type text, content jsonb, of_run uuid, to_whom text) IS 'Puts a message to Core-Dict (or to ALERT: a person) into the outbox, in the caller''s transaction. Returns its id.';


--
-- Name: publish_reconciliation_notification(uuid, text, text, jsonb); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.publish_reconciliation_notification(run uuid, event text, code text DEFAULT NULL::text, more jsonb DEFAULT '{}'::jsonb) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  r dict.reconciliations;
  summary jsonb := dict.reconciliation_summary(run);
begin
  select * into r from dict.reconciliations where run_id = run;
  if not found then
    return;
  end if;
  perform dict.publish(r.participant, r.key_type, 'reconciliation.notification',
    jsonb_strip_nulls(jsonb_build_object('runId', run, 'event', event, 'reason', r.reason,
      'code', coalesce(code, case when event = 'FAILED' then substring(r.reason from '^(DV_[A-Z_0-9]+): ') end)))
    || case
      when event = 'APPROVAL_NEEDED' then jsonb_strip_nulls(jsonb_build_object('setHash', summary ->> 'setHash'))
      when event = 'QUARANTINED' then '{}'
      else jsonb_build_object('pageCount', r.pages_published, 'changeCount', r.changes_published) end
    || more || jsonb_build_object('summary', summary), run);
end $$;


ALTER FUNCTION dict.publish_reconciliation_notification(run uuid, event text, code text, more jsonb) OWNER TO postgres;

--
-- Name: FUNCTION publish_reconciliation_notification(run uuid, event text, code text, more jsonb); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.publish_reconciliation_notification(run uuid, event text, code text, more jsonb) IS 'Publishes reconciliation.notification: the state of a reconciliation that started, needs approval or did not succeed. more: fields that only this event has. Publishes nothing if the run has no row in dict.reconciliations yet.';


--
-- Name: publish_undo_done(uuid, text); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.publish_undo_done(undo_run uuid, code text DEFAULT NULL::text) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  select dict.publish(participant, key_type, 'undo.done',
    jsonb_strip_nulls(jsonb_build_object(
      'runId', undo_run, 'pageCount', pages_published, 'changeCount', changes_published, 'code', code))
    || jsonb_build_object('summary', dict.undo_summary(undo_run)), undo_run)
  from dict.undos where undo_run_id = undo_run
$$;


ALTER FUNCTION dict.publish_undo_done(undo_run uuid, code text) OWNER TO postgres;

--
-- Name: FUNCTION publish_undo_done(undo_run uuid, code text); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.publish_undo_done(undo_run uuid, code text) IS 'Publishes undo.done for an undo that has ended: how many keys it put back and left alone. code: the error with which it ended.';


--
-- Name: publish_verification_summary(uuid); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.publish_verification_summary(run uuid) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  v dict.verifications;
  key_types jsonb;
  reconciliations jsonb;
begin
  select * into strict v from dict.verifications where run_id = run;
  -- From the first time a VSync was sent to the last answer.
  select coalesce(jsonb_object_agg(key, value || jsonb_strip_nulls(jsonb_build_object('seconds', (
      select extract(epoch from max(s.answered_at) - min(s.asked_at))::float8 from dict.sync_verifications s
      where s.run_id = run and s.purpose = 'VERIFICATION' and s.key_type = key)))), '{}')
    into key_types from jsonb_each(v.results);
  select coalesce(jsonb_object_agg(r.input ->> 'keyType', r.id), '{}') into reconciliations from workflow.runs r
  where r.machine = 'reconciliation' and r.input ->> 'participant' = v.participant
    and (r.parent_id = run or r.closed_at is null)
    and v.results -> (r.input ->> 'keyType') ->> 'result' = 'NOK';
  perform dict.publish(v.participant, 'ALL', 'verification.summary', jsonb_build_object(
    'runId', run, 'outcome', v.outcome, 'startedAt', dict.message_time(v.started_at),
    'endedAt', dict.message_time(v.ended_at), 'seconds', extract(epoch from v.ended_at - v.started_at)::float8,
    'keyTypes', key_types, 'reconciliations', reconciliations), run);
  return v.outcome;
end $$;


ALTER FUNCTION dict.publish_verification_summary(run uuid) OWNER TO postgres;

--
-- Name: FUNCTION publish_verification_summary(run uuid); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.publish_verification_summary(run uuid) IS 'Publishes verification.summary for a logged verification: its results and the reconciliations that it started. Returns its outcome.';


--
-- Name: queue_keys(text, dict.key_ref[], boolean); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.queue_keys(of_source text, refs dict.key_ref[], were_missed boolean) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  insert into dict.feed_queue (source, participant, key_type, key, missed)
  select of_source, u.participant, u.key_type, u.key, were_missed from unnest(refs) u
$$;


ALTER FUNCTION dict.queue_keys(of_source text, refs dict.key_ref[], were_missed boolean) OWNER TO postgres;

--
-- Name: recalculate_vsync(text, text); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.recalculate_vsync(of_participant text, of_key_type text, OUT entries bigint, OUT vsync text, OUT kept_vsync text, OUT repaired_buckets integer) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
begin
  -- Two simultaneous calls would both append the difference, and so cancel each other.
  perform pg_advisory_xact_lock(hashtext('dict-vsync recalculate'), hashtext(of_participant || of_key_type));
  -- One statement is one snapshot of the entries, the buckets and the deltas. The difference is appended and the
  -- buckets
  -- are not overwritten, because transactions that commit meanwhile append their own deltas.
  with scanned as (
    select dict.bucket(cid) as bucket, count(*) as count, bit_xor(dict.bits(cid)) as xor
    from dict.entries e
    where e.participant = of_participant and e.key_type = of_key_type and removed_at is null group by 1),
  kept as (
    select bucket, sum(count) as count, bit_xor(xor) as xor
    from dict.vsync_parts p where p.participant = of_participant and p.key_type = of_key_type group by 1),
  compared as (
    select bucket, coalesce(s.count, 0) - coalesce(k.count, 0) as count_change,
      coalesce(s.xor, repeat('0', 256)::bit(256)) # coalesce(k.xor, repeat('0', 256)::bit(256)) as xor,
      s.count as scanned_count, s.xor as scanned_xor, k.xor as kept_xor
    from scanned s full join kept k using (bucket)),
  repaired as (
    insert into dict.vsync_deltas (participant, key_type, bucket, count_change, xor)
    select of_participant, of_key_type, c.bucket, c.count_change, c.xor from compared c
    where c.count_change <> 0 or c.xor <> repeat('0', 256)::bit(256)
    returning 1)
  select coalesce(sum(scanned_count), 0),
    dict.hex(coalesce(bit_xor(scanned_xor), repeat('0', 256)::bit(256))),
    dict.hex(coalesce(bit_xor(kept_xor), repeat('0', 256)::bit(256))),
    (select count(*) from repaired)
  into recalculate_vsync.entries, recalculate_vsync.vsync, recalculate_vsync.kept_vsync, recalculate_vsync.repaired_buckets
  from compared;

  insert into dict.vsync_scans as s (participant, key_type, scanned_at, entries, repaired_buckets)
  values (of_participant, of_key_type, workflow.now(), recalculate_vsync.entries, recalculate_vsync.repaired_buckets)
  on conflict (participant, key_type) do update set
    scanned_at = excluded.scanned_at, entries = excluded.entries, repaired_buckets = excluded.repaired_buckets;
end $$;


ALTER FUNCTION dict.recalculate_vsync(of_participant text, of_key_type text, OUT entries bigint, OUT vsync text, OUT kept_vsync text, OUT repaired_buckets integer) OWNER TO postgres;

--
-- Name: FUNCTION recalculate_vsync(of_participant text, of_key_type text, OUT entries bigint, OUT vsync text, OUT kept_vsync text, OUT repaired_buckets integer); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.recalculate_vsync(of_participant text, of_key_type text, OUT entries bigint, OUT vsync text, OUT kept_vsync text, OUT repaired_buckets integer) IS 'Computes a VSync from the entries in one snapshot and repairs the kept one by appending the difference. kept_vsync is its value before the repair; repaired_buckets is the number of buckets that were wrong.';


--
-- Name: reconciliation_closed(); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.reconciliation_closed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  scope dict.reconciliations;
  asked jsonb;
begin
  select * into scope from dict.reconciliations where run_id = new.id;
  -- A run that reaches a terminal state has closed its row and published its result in steps of its own.
  if not found or scope.ended_at is not null and new.status not in ('CANCELLED', 'TERMINATED', 'POISONED') then
    return null;
  end if;
  select detail into asked from workflow.history
  where run_id = new.id and event = 'CANCEL_REQUESTED' and new.status = 'CANCELLED' order by id desc limit 1;
  perform dict.close_reconciliation(new.id, new.status, coalesce(
    nullif(concat_ws(': ', 'by ' || (asked ->> 'by'), asked ->> 'reason'), ''),
    nullif(concat_ws(': ', new.error ->> 'code', new.error ->> 'message'), '')));
  perform dict.publish_reconciliation_notification(new.id, new.status, new.error ->> 'code');
  return null;
end $$;


ALTER FUNCTION dict.reconciliation_closed() OWNER TO postgres;

--
-- Name: FUNCTION reconciliation_closed(); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.reconciliation_closed() IS 'Closes the log row of a reconciliation that was cancelled, terminated or poisoned, or that failed while saving its log, in the transaction that closed the run.';


--
-- Name: reconciliation_key(text, text); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.reconciliation_key(participant text, key_type text) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN ((('reconciliation:'::text || participant) || ':'::text) || key_type);


ALTER FUNCTION dict.reconciliation_key(participant text, key_type text) OWNER TO postgres;

--
-- Name: FUNCTION reconciliation_key(participant text, key_type text); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.reconciliation_key(participant text, key_type text) IS 'The workflow key of the reconciliations of a participant and key type.';


--
-- Name: reconciliation_summary(uuid); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.reconciliation_summary(run uuid) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  select jsonb_build_object(
    'participant', participant, 'keyType', key_type, 'outcome', outcome, 'reason', reason, 'rounds', rounds,
    'vsyncBefore', vsync_before, 'vsyncAfter', vsync_after, 'entriesBefore', entries_before, 'entriesAfter', entries_after,
    'dictOnlyCids', dict_only_cids, 'localOnlyCids', local_only_cids, 'keysAdded', keys_added,
    'keysCorrected', keys_corrected, 'keysRemoved', keys_removed, 'keysRegistered', keys_registered,
    'keysInFlight', keys_in_flight, 'keysHeld', keys_held, 'keysUnsure', keys_unsure, 'quarantined', quarantined, 'approvedBy', approved_by,
    'setHash', (select set_hash from dict.rounds o where o.run_id = r.run_id order by round desc limit 1))
  from dict.reconciliations r where run_id = run
$$;


ALTER FUNCTION dict.reconciliation_summary(run uuid) OWNER TO postgres;

--
-- Name: FUNCTION reconciliation_summary(run uuid); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.reconciliation_summary(run uuid) IS 'A reconciliation as messages to Core-Dict and the CLI show it; null before it was opened.';


--
-- Name: refeed(text, dict.key_ref[]); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.refeed(of_source text, refs dict.key_ref[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO, YMD'
    SET lock_timeout TO '1ms'
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  state text := dict.feed_in_chunks(dict.known_source(of_source), refs);
begin
  if state is not null then
    raise exception using errcode = state, message = 'the mapping is broken';
  end if;
end $$;


ALTER FUNCTION dict.refeed(of_source text, refs dict.key_ref[]) OWNER TO postgres;

--
-- Name: FUNCTION refeed(of_source text, refs dict.key_ref[]); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.refeed(of_source text, refs dict.key_ref[]) IS 'Reads keys of a source again, whether its triggers saw a change or not.';


--
-- Name: refill_step(interval, integer); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.refill_step(period interval, refill integer, OUT step interval, OUT gain integer) RETURNS record
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  -- We count whole periods only, because DICT refills so ("reposição periódica") and may have no tokens in between. But
  -- we do not wait a whole day: with 40 files a day we try one every 36 minutes, and a 429 costs only another such
  -- wait.
  select case when slow then period / refill else period end, case when slow then 1 else refill end
  from (select period / refill > interval '1 minute' as slow) x
$$;


ALTER FUNCTION dict.refill_step(period interval, refill integer, OUT step interval, OUT gain integer) OWNER TO postgres;

--
-- Name: FUNCTION refill_step(period interval, refill integer, OUT step interval, OUT gain integer); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.refill_step(period interval, refill integer, OUT step interval, OUT gain integer) IS 'How long the wait for more tokens of a token bucket is, and how many there are then: the whole refill after each period, or one at a time if a token takes more than a minute.';


--
-- Name: rate_limits; Type: TABLE; Schema: dict; Owner: postgres
--

CREATE TABLE dict.rate_limits (
    participant text NOT NULL,
    policy text NOT NULL,
    capacity integer NOT NULL,
    refill_tokens integer NOT NULL,
    refill_period interval NOT NULL,
    tokens integer NOT NULL,
    refilled_at timestamp with time zone NOT NULL,
    blocked_until timestamp with time zone,
    CONSTRAINT rate_limits_capacity_check CHECK ((capacity > 0)),
    CONSTRAINT rate_limits_refill_period_check CHECK ((refill_period > '00:00:00'::interval)),
    CONSTRAINT rate_limits_refill_tokens_check CHECK ((refill_tokens > 0)),
    CONSTRAINT rate_limits_tokens_check CHECK ((tokens >= 0))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='500');


ALTER TABLE dict.rate_limits OWNER TO postgres;

--
-- Name: TABLE rate_limits; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TABLE dict.rate_limits IS 'DICT''s token buckets (DICT API 2.6.1, "Limitação de requisições"), per participant and policy. Initialized from ListPolicies if the Bridge offers it. FILE_POLL is our own: the rate of getCidSetFile calls for all key types together.';


--
-- Name: COLUMN rate_limits.blocked_until; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON COLUMN dict.rate_limits.blocked_until IS 'Until when DICT asked us not to send requests (Retry-After).';


--
-- Name: refilled(dict.rate_limits, timestamp with time zone); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.refilled(r dict.rate_limits, n timestamp with time zone) RETURNS dict.rate_limits
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  refill record;
  steps bigint;
begin
  select * into refill from dict.refill_step(r.refill_period, r.refill_tokens);
  steps := greatest(floor(extract(epoch from n - r.refilled_at) / extract(epoch from refill.step)), 0);
  r.refilled_at := r.refilled_at + steps * refill.step;
  r.tokens := least(r.capacity::bigint, r.tokens + steps * refill.gain);
  return r;
end $$;


ALTER FUNCTION dict.refilled(r dict.rate_limits, n timestamp with time zone) OWNER TO postgres;

--
-- Name: register_local_only(uuid, text[], text, text, text); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.register_local_only(run uuid, keys text[], by_whom text, reason text, set_hash text DEFAULT NULL::text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  scope dict.reconciliations;
  last_round integer;
  marked text[];
begin
  if coalesce(btrim(by_whom), '') = '' or coalesce(btrim(reason), '') = '' then
    perform workflow.raise_error('DV_DECISION_UNSIGNED', 'Say who decides and why. Both are recorded for the auditor.');
  end if;
  -- Locks the run first, as in dict.decide_reconciliation.
  perform from workflow.runs where id = run for update;
  if not found then
    perform workflow.raise_error('DV_RUN_NOT_FOUND', format('There is no run %s.', run));
  end if;
  if not workflow.waits_for(run, 'approve') then
    perform workflow.raise_error('DV_RUN_NOT_WAITING', format('Run %s does not wait for an approval. `dict-vsync describe` shows its state.', run));
  end if;
  perform dict.expect_set(run, set_hash);
  select * into strict scope from dict.reconciliations where run_id = run;
  if scope.key_type = 'EVP' then
    perform workflow.raise_error('DV_REGISTER_EVP', 'DICT generates the key of an EVP itself. An EVP that only the local base has cannot be registered, only removed.');
  end if;
  select max(round) into last_round from dict.rounds where run_id = run;

  with named as (
    update dict.divergences d set plan = 'REGISTER', plan_by = by_whom, plan_why = reason, key = e.key, why = null,
      planned = case when d.planned is not null then 'REGISTER' end
    from dict.entries e
    where d.run_id = run and d.round = last_round and d.side = 'LOCAL_ONLY' and d.decision = 'PENDING'
      and d.planned is distinct from 'CORRECT'
      and e.participant = scope.participant and e.key_type = scope.key_type and e.cid = d.cid and e.removed_at is null
      and (keys is null or e.key = any (keys))
    returning d.key)
  select coalesce(array_agg(key), '{}') into marked from named;
  if cardinality(marked) = 0 or not coalesce(keys, marked) <@ marked then
    perform workflow.raise_error('DV_KEY_NOT_IN_SET', format('Not all of these keys are in the frozen set of run %s as local-only keys. Nothing was marked.', run));
  end if;
  -- Another plan is another set: an approval that names the old hash is refused.
  update dict.rounds set set_hash = dict.hash_plan(run, last_round) where run_id = run and round = last_round;
  return cardinality(marked);
end $$;


ALTER FUNCTION dict.register_local_only(run uuid, keys text[], by_whom text, reason text, set_hash text) OWNER TO postgres;

--
-- Name: FUNCTION register_local_only(run uuid, keys text[], by_whom text, reason text, set_hash text); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.register_local_only(run uuid, keys text[], by_whom text, reason text, set_hash text) IS 'While a reconciliation waits for approval: marks local-only keys of its frozen set (null: all of them; set_hash: refuse if the set has another hash) to be registered at DICT instead of removed, after the approval. The set has another hash then. Returns how many keys. Errors: DV_RUN_NOT_FOUND, DV_RUN_NOT_WAITING, DV_SET_MISMATCH, DV_REGISTER_EVP, DV_KEY_NOT_IN_SET, DV_DECISION_UNSIGNED.';


--
-- Name: reject_reconciliation(uuid, text, text, text); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.reject_reconciliation(run uuid, by_whom text, reason text, set_hash text DEFAULT NULL::text) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  select dict.decide_reconciliation(run, 'reject', by_whom, reason, set_hash)
$$;


ALTER FUNCTION dict.reject_reconciliation(run uuid, by_whom text, reason text, set_hash text) OWNER TO postgres;

--
-- Name: FUNCTION reject_reconciliation(run uuid, by_whom text, reason text, set_hash text); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.reject_reconciliation(run uuid, by_whom text, reason text, set_hash text) IS 'Rejects the frozen set with which a reconciliation waits: nothing is applied and the run ends REJECTED. Errors: as dict.approve_reconciliation.';


--
-- Name: reject_ref(dict.key_ref); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.reject_ref(ref dict.key_ref) RETURNS dict.key_ref
    LANGUAGE sql IMMUTABLE
    RETURN ROW("left"(COALESCE((ref).participant, ''::text), 40), "left"(COALESCE((ref).key_type, ''::text), 40), "left"(COALESCE((ref).key, ''::text), 100))::dict.key_ref;


ALTER FUNCTION dict.reject_ref(ref dict.key_ref) OWNER TO postgres;

--
-- Name: release_keys(text, text, text[], text, uuid); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.release_keys(by_whom text, participant text DEFAULT NULL::text, key_types text[] DEFAULT NULL::text[], key text DEFAULT NULL::text, undo_run uuid DEFAULT NULL::uuid) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  types text[] := dict.check_key_types(key_types);
  released bigint;
begin
  if coalesce(btrim(by_whom), '') = '' then
    perform workflow.raise_error('DV_DECISION_UNSIGNED', 'Say who releases the keys. It is recorded for the auditor.');
  end if;
  if num_nonnulls(release_keys.participant, key_types, release_keys.key, undo_run) = 0 then
    perform workflow.raise_error('DV_RELEASE_UNNAMED', 'Say which keys to release: by participant, key type, key or undo run.');
  end if;
  update dict.held_keys h set released_at = workflow.now(), released_by = release_keys.by_whom
  where h.released_at is null and h.key_type = any (types)
    and (release_keys.participant is null or h.participant = release_keys.participant)
    and (release_keys.key is null or h.key = release_keys.key)
    and (undo_run is null or h.undo_run_id = undo_run);
  get diagnostics released = row_count;
  return released;
end $$;


ALTER FUNCTION dict.release_keys(by_whom text, participant text, key_types text[], key text, undo_run uuid) OWNER TO postgres;

--
-- Name: FUNCTION release_keys(by_whom text, participant text, key_types text[], key text, undo_run uuid); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.release_keys(by_whom text, participant text, key_types text[], key text, undo_run uuid) IS 'Releases held keys, so that the next reconciliation repairs them; returns how many. A key must match all parameters given, and at least one must be given. Errors: DV_DECISION_UNSIGNED, DV_RELEASE_UNNAMED, DV_KEY_TYPE_UNKNOWN.';


--
-- Name: remove_expired_audit(interval, integer); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.remove_expired_audit(older_than interval, most integer DEFAULT 1000) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  gone uuid[] := array(select dict.expired_reconciliations(older_than) limit most);
  removed integer := 0;
  more integer;
begin
  -- Child rows first: a reconciliation may have a million of them, and each call must stay small.
  delete from dict.divergences where (run_id, round, cid) in (
    select run_id, round, cid from dict.divergences where run_id = any (gone) limit most for update skip locked);
  get diagnostics removed = row_count;
  if removed < most then
    delete from dict.undone where (undo_run_id, key) in (
      select undo_run_id, key from dict.undone where run_id = any (gone) limit most - removed for update skip locked);
    get diagnostics more = row_count;
    removed := removed + more;
  end if;
  if removed < most then
    delete from dict.reconciliations r where run_id in (
      select run_id from dict.reconciliations where run_id = any (gone)
        and not exists (select from dict.divergences d where d.run_id = reconciliations.run_id)
        and not exists (select from dict.undone u where u.run_id = reconciliations.run_id)
      limit most - removed for update skip locked);
    get diagnostics more = row_count;
    removed := removed + more;
  end if;
  if removed < most then
    delete from dict.sync_verifications where id in (
      select id from dict.sync_verifications
      where id in (select dict.expired_sync_verifications(older_than)) limit most - removed for update skip locked);
    get diagnostics more = row_count;
    removed := removed + more;
  end if;
  if removed < most then
    delete from dict.verifications where run_id in (
      select run_id from dict.verifications where ended_at < workflow.now() - older_than
      limit most - removed for update skip locked);
    get diagnostics more = row_count;
    removed := removed + more;
  end if;
  return removed;
end $$;


ALTER FUNCTION dict.remove_expired_audit(older_than interval, most integer) OWNER TO postgres;

--
-- Name: FUNCTION remove_expired_audit(older_than interval, most integer); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.remove_expired_audit(older_than interval, most integer) IS 'Removes up to `most` rows of verifications, reconciliations and their divergences of this age, in one short transaction. Returns how many. Call it until it returns 0. CIDs are never removed (Manual §9).';


--
-- Name: remove_unsure(uuid, text[], text, text); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.remove_unsure(run uuid, keys text[], by_whom text, reason text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  scope dict.reconciliations;
  marked text[];
begin
  if coalesce(btrim(by_whom), '') = '' or coalesce(btrim(reason), '') = '' then
    perform workflow.raise_error('DV_DECISION_UNSIGNED', 'Say who decides and why. Both are recorded for the auditor.');
  end if;
  select * into scope from dict.reconciliations where run_id = run;
  if not found then
    perform workflow.raise_error('DV_RUN_NOT_FOUND', format('There is no reconciliation %s.', run));
  end if;
  with named as (
    update dict.divergences d set plan = 'REMOVE', plan_by = by_whom, plan_why = reason
    where d.run_id = run and d.decision = 'UNSURE' and d.plan is distinct from 'REMOVE'
      and d.round = (select max(round) from dict.rounds where run_id = run)
      and (keys is null or d.key = any (keys))
    returning d.key)
  select coalesce(array_agg(key), '{}') into marked from named;
  if cardinality(marked) = 0 or not coalesce(keys, marked) <@ marked then
    perform workflow.raise_error('DV_KEY_NOT_UNSURE', format('Not all of these keys are UNSURE in the last round of run %s, or they are decided already. Nothing was marked.', run));
  end if;
  perform dict.start_reconciliation(scope.participant, array[scope.key_type]);
  return cardinality(marked);
end $$;


ALTER FUNCTION dict.remove_unsure(run uuid, keys text[], by_whom text, reason text) OWNER TO postgres;

--
-- Name: FUNCTION remove_unsure(run uuid, keys text[], by_whom text, reason text); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.remove_unsure(run uuid, keys text[], by_whom text, reason text) IS 'Decides that local keys which a reconciliation left as UNSURE (null: all of them) are to be removed, and starts a reconciliation, which removes them if DICT still does not have them. Returns how many. Errors: DV_RUN_NOT_FOUND, DV_KEY_NOT_UNSURE, DV_DECISION_UNSIGNED.';


--
-- Name: retries_due(); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.retries_due() RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
begin
  return exists (select from dict.retries where due_at <= workflow.now());
end $$;


ALTER FUNCTION dict.retries_due() OWNER TO postgres;

--
-- Name: FUNCTION retries_due(); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.retries_due() IS 'Whether an automatic retry is due.';


--
-- Name: retry_outbox(uuid[]); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.retry_outbox(messages uuid[] DEFAULT NULL::uuid[]) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
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


ALTER FUNCTION dict.retry_outbox(messages uuid[]) OWNER TO postgres;

--
-- Name: FUNCTION retry_outbox(messages uuid[]); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.retry_outbox(messages uuid[]) IS 'Sends dead messages again (null: all of them), with the same ids and new sequences at the end of their streams. Returns how many. Errors: DV_MESSAGE_NOT_DEAD; then no message is sent.';


--
-- Name: seed_rate_limit(text, text, integer, integer, interval, integer, boolean); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.seed_rate_limit(of_participant text, of_policy text, of_capacity integer, of_refill integer, of_period interval, available integer, overwrite boolean) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  insert into dict.rate_limits as r (participant, policy, capacity, refill_tokens, refill_period, tokens, refilled_at)
  values (of_participant, of_policy, of_capacity, of_refill, of_period, least(available, of_capacity), workflow.now())
  on conflict (participant, policy) do update set
    capacity = excluded.capacity, refill_tokens = excluded.refill_tokens, refill_period = excluded.refill_period,
    -- DICT's number may not include our own calls in progress, so it never raises ours.
    tokens = least(r.tokens, excluded.tokens)
  where overwrite
$$;


ALTER FUNCTION dict.seed_rate_limit(of_participant text, of_policy text, of_capacity integer, of_refill integer, of_period interval, available integer, overwrite boolean) OWNER TO postgres;

--
-- Name: FUNCTION seed_rate_limit(of_participant text, of_policy text, of_capacity integer, of_refill integer, of_period interval, available integer, overwrite boolean); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.seed_rate_limit(of_participant text, of_policy text, of_capacity integer, of_refill integer, of_period interval, available integer, overwrite boolean) IS 'Creates a token bucket, or with `overwrite` updates an existing one to what DICT says.';


--
-- Name: source_of(text); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.source_of(of_participant text) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  select f.name from dict.feed_sources f where f.participants is null or of_participant = any (f.participants)
$$;


ALTER FUNCTION dict.source_of(of_participant text) OWNER TO postgres;

--
-- Name: FUNCTION source_of(of_participant text); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.source_of(of_participant text) IS 'The source that feeds a participant; null when none is connected.';


--
-- Name: start_reconciliation(text, text[]); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.start_reconciliation(participant text DEFAULT NULL::text, key_types text[] DEFAULT NULL::text[]) RETURNS SETOF uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  types text[] := dict.check_key_types(key_types);
begin
  return query
  select workflow.start_run('reconciliation', dict.reconciliation_key(p, t),
    jsonb_build_object('participant', p, 'keyType', t))
  from dict.asked_participants(start_reconciliation.participant) p, unnest(types) t;
end $$;


ALTER FUNCTION dict.start_reconciliation(participant text, key_types text[]) OWNER TO postgres;

--
-- Name: FUNCTION start_reconciliation(participant text, key_types text[]); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.start_reconciliation(participant text, key_types text[]) IS 'Starts a reconciliation for each participant (null: each configured one) and key type (null: all five). Returns the run ids; if such a run is open, its id. Runs in the caller''s transaction. Errors: DV_ISPB_INVALID, DV_KEY_TYPE_UNKNOWN, DV_PARTICIPANT_UNKNOWN, DV_PARTICIPANT_MISSING.';


--
-- Name: start_retries(); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.start_retries() RETURNS TABLE(run_id uuid, participant text, key_types text[], reason text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
#variable_conflict use_column
declare
  due record;
begin
  -- One caller at a time. The others find these runs open when they look again.
  if not pg_try_advisory_xact_lock(hashtext('dict-vsync retries')) then
    return;
  end if;
  for due in
    select r.participant, array_agg(r.key_type order by r.key_type) as key_types,
      coalesce(jsonb_agg(r.key_type order by r.key_type) filter (where r.after_reconciliation), '[]') as sparing,
      format('Automatic retry %s. ', max(r.retry)) || string_agg(distinct r.reason, ' ' order by r.reason) as reason
    from dict.retries r where r.due_at <= workflow.now()
    group by r.participant order by r.participant
  loop
    participant := due.participant;
    key_types := due.key_types;
    reason := due.reason;
    run_id := workflow.start_run('verification', dict.verification_key(due.participant, due.key_types),
      jsonb_build_object('participant', due.participant, 'keyTypes', to_jsonb(due.key_types), 'reason', due.reason,
        'sparing', due.sparing),
      'retry');
    return next;
  end loop;
end $$;


ALTER FUNCTION dict.start_retries() OWNER TO postgres;

--
-- Name: FUNCTION start_retries(); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.start_retries() IS 'Starts the automatic retries that are due (dict.retries): one verification for each participant, of the key types that are due. Returns what it started. Workers call it when one is due; it is safe at any moment and from several callers simultaneously.';


--
-- Name: start_undo(uuid, text, text); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.start_undo(run uuid, by_whom text DEFAULT SESSION_USER, reason text DEFAULT NULL::text) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  r workflow.runs;
  undo uuid;
begin
  select * into r from workflow.runs where id = run for update;
  if not found then
    perform workflow.raise_error('DV_RUN_NOT_FOUND', format('There is no run %s.', run));
  end if;
  if r.machine <> 'reconciliation' then
    perform workflow.raise_error('DV_RUN_NOT_RECONCILIATION', format('Run %s is of machine %s. Only what a reconciliation changed can be undone.', run, r.machine));
  end if;
  if r.closed_at is null then
    perform workflow.raise_error('DV_RUN_OPEN', format('Run %s is still open. Wait until it ends or cancel it, then undo it.', run));
  end if;
  select id into undo from workflow.runs where workflow_key = 'undo:' || run and closed_at is null;
  if found then
    return undo;
  end if;
  if not exists (select from dict.divergences d
                 where d.run_id = run and d.decision in ('ADDED', 'CORRECTED', 'REMOVED')
                   and not exists (select from dict.undone u where u.run_id = run and u.key = d.key)) then
    if exists (select from dict.undos u where u.run_id = run) then
      perform workflow.raise_error('DV_ALREADY_UNDONE', format('Run %s is already undone. dict.undone shows the result for each key.', run));
    end if;
    perform workflow.raise_error('DV_NOTHING_TO_UNDO', format('Run %s has not changed any key, so there is nothing to undo.', run));
  end if;
  undo := workflow.start_run('undo', 'undo:' || run,
    jsonb_build_object('run', run, 'participant', r.input -> 'participant', 'keyType', r.input -> 'keyType'),
    coalesce(by_whom, session_user));
  insert into dict.undos (undo_run_id, run_id, participant, key_type, by_whom, reason, asked_at)
  values (undo, run, r.input ->> 'participant', r.input ->> 'keyType', coalesce(by_whom, session_user), start_undo.reason, workflow.now());
  return undo;
end $$;


ALTER FUNCTION dict.start_undo(run uuid, by_whom text, reason text) OWNER TO postgres;

--
-- Name: FUNCTION start_undo(run uuid, by_whom text, reason text); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.start_undo(run uuid, by_whom text, reason text) IS 'Starts the undo of a closed reconciliation and returns its run id; if such a run is open, its id. Runs in the caller''s transaction. Errors: DV_RUN_NOT_FOUND, DV_RUN_NOT_RECONCILIATION, DV_RUN_OPEN, DV_ALREADY_UNDONE, DV_NOTHING_TO_UNDO, DV_MACHINE_UNKNOWN.';


--
-- Name: start_verification(text, text[]); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.start_verification(participant text DEFAULT NULL::text, key_types text[] DEFAULT NULL::text[]) RETURNS SETOF uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  types text[] := dict.check_key_types(key_types);
begin
  return query
  select workflow.start_run('verification', dict.verification_key(p, types),
    jsonb_build_object('participant', p, 'keyTypes', to_jsonb(types)))
  from dict.asked_participants(start_verification.participant) p;
end $$;


ALTER FUNCTION dict.start_verification(participant text, key_types text[]) OWNER TO postgres;

--
-- Name: FUNCTION start_verification(participant text, key_types text[]); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.start_verification(participant text, key_types text[]) IS 'Starts a verification for a participant (null: each configured one) and key types (null: all five). Returns the run ids; if such a run is open, its id. Runs in the caller''s transaction. Errors: DV_ISPB_INVALID, DV_KEY_TYPE_UNKNOWN, DV_PARTICIPANT_UNKNOWN, DV_PARTICIPANT_MISSING.';


--
-- Name: take_token(text, text); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.take_token(of_participant text, of_policy text, OUT taken boolean, OUT retry_at timestamp with time zone) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  n timestamptz := workflow.now();
  r dict.rate_limits;
begin
  select * into r from dict.rate_limits where participant = of_participant and policy = of_policy for update;
  if not found then
    -- A policy that is not in the table is not limited here.
    taken := true;
    return;
  end if;
  if r.blocked_until > n then
    taken := false; retry_at := r.blocked_until;
    return;
  end if;
  r := dict.refilled(r, n);
  taken := r.tokens > 0;
  if taken then
    r.tokens := r.tokens - 1;
  else
    retry_at := r.refilled_at + (dict.refill_step(r.refill_period, r.refill_tokens)).step;
  end if;
  update dict.rate_limits set tokens = r.tokens, refilled_at = r.refilled_at, blocked_until = null
  where participant = of_participant and policy = of_policy;
end $$;


ALTER FUNCTION dict.take_token(of_participant text, of_policy text, OUT taken boolean, OUT retry_at timestamp with time zone) OWNER TO postgres;

--
-- Name: FUNCTION take_token(of_participant text, of_policy text, OUT taken boolean, OUT retry_at timestamp with time zone); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.take_token(of_participant text, of_policy text, OUT taken boolean, OUT retry_at timestamp with time zone) IS 'Takes a token from a token bucket, or returns when there will be one. Called in a transaction of its own before each call; tokens are not given back.';


--
-- Name: to_time(text); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.to_time(value text) RETURNS timestamp with time zone
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
begin
  return value::timestamptz;
exception when others then
  return null;
end $$;


ALTER FUNCTION dict.to_time(value text) OWNER TO postgres;

--
-- Name: tokens_left(text, text); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.tokens_left(of_participant text, of_policy text) RETURNS integer
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  select case when r.blocked_until > n then 0 else (dict.refilled(r, n)).tokens end
  from dict.rate_limits r, workflow.now() n where participant = of_participant and policy = of_policy
$$;


ALTER FUNCTION dict.tokens_left(of_participant text, of_policy text) OWNER TO postgres;

--
-- Name: FUNCTION tokens_left(of_participant text, of_policy text); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.tokens_left(of_participant text, of_policy text) IS 'How many tokens a token bucket has now, as far as this installation knows. Null: the policy is not limited here.';


--
-- Name: touch_entry(); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.touch_entry() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  reason_given boolean := new.changed_xid is null;
begin
  -- Compares column by column, not "new is distinct from old", because the generated cid of new is null until the row
  -- is
  -- written. The columns of the CID come first: most changes change one of them, and then the rest is not compared.
  if (new.participant, new.key_type, new.key, new.request_id, new.tax_id_number, new.name, coalesce(new.trade_name, ''),
      coalesce(new.branch, ''), new.account_number, new.account_type, new.removed_at is null) is distinct from
     (old.participant, old.key_type, old.key, old.request_id, old.tax_id_number, old.name, coalesce(old.trade_name, ''),
      coalesce(old.branch, ''), old.account_number, old.account_type, old.removed_at is null) then
    new.came_xid := pg_current_xact_id();
    if new.since = old.since then
      new.since := clock_timestamp();
    end if;
  else
    new.came_xid := old.came_xid;
    if (new.owner_type, new.trade_name, new.branch, new.opening_date, new.removed_at) is not distinct from
       (old.owner_type, old.trade_name, old.branch, old.opening_date, old.removed_at) then
      -- An update that changes nothing is not a change and has no reason.
      new.changed_xid := old.changed_xid;
      new.changed_why := old.changed_why;
      return new;
    end if;
  end if;
  new.changed_xid := pg_current_xact_id();
  -- A reason belongs to one change: a later writer that gives no reason does not inherit it.
  if not reason_given then
    new.changed_why := null;
  end if;
  return new;
end $$;


ALTER FUNCTION dict.touch_entry() OWNER TO postgres;

--
-- Name: undo_closed(); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.undo_closed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  u dict.undos;
begin
  select * into u from dict.undos where undo_run_id = new.id for update;
  if not found then
    return null;
  end if;
  if new.closed_at is null then
    -- workflow.retry has opened the run again.
    update dict.undos set ended_at = null, outcome = null where undo_run_id = new.id;
    return null;
  end if;
  -- If the run's last step closed the row, that step has published undo.done as well.
  if u.ended_at is null then
    update dict.undos set ended_at = new.closed_at, outcome = new.status where undo_run_id = new.id;
    perform dict.publish_undo_done(new.id, case when new.status in ('FAILED', 'POISONED') then new.error ->> 'code' end);
  end if;
  return null;
end $$;


ALTER FUNCTION dict.undo_closed() OWNER TO postgres;

--
-- Name: FUNCTION undo_closed(); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.undo_closed() IS 'For an undo that was cancelled, terminated or poisoned, or that failed: closes its row and publishes undo.done, in the transaction that closed the run. Opens the row again when the run is retried.';


--
-- Name: undo_summary(uuid); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.undo_summary(undo_run uuid) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  select jsonb_build_object(
    'participant', participant, 'keyType', key_type, 'undoneRun', run_id, 'by', by_whom, 'reason', reason,
    'outcome', outcome, 'keysUndone', keys_undone, 'keysLeft', keys_left,
    'askedAt', dict.message_time(asked_at), 'endedAt', dict.message_time(ended_at))
  from dict.undos where undo_run_id = undo_run
$$;


ALTER FUNCTION dict.undo_summary(undo_run uuid) OWNER TO postgres;

--
-- Name: FUNCTION undo_summary(undo_run uuid); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.undo_summary(undo_run uuid) IS 'An undo as messages to Core-Dict and the CLI show it; null when there is no such undo.';


--
-- Name: verification_closed(); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.verification_closed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  found_out jsonb;
begin
  -- A run that reaches a terminal state has logged and published its result in steps of its own. Nothing here may fail,
  -- because an error would keep the run from closing.
  if exists (select from workflow.states s where (s.machine, s.version, s.state) = (new.machine, new.machine_version, new.state)
             and s.kind = 'terminal')
     or new.input ->> 'participant' is null or jsonb_typeof(new.input -> 'keyTypes') is distinct from 'array' then
    return null;
  end if;
  -- The results so far. A key type that was not reached is not known to be in sync.
  select coalesce(jsonb_object_agg(t, coalesce(new.context -> 'results' -> t, jsonb_build_object('result', 'ERROR', 'code',
      case when new.status in ('CANCELLED', 'TERMINATED') then 'DV_RUN_CANCELLED'
           else coalesce(new.error ->> 'code', 'DV_UNEXPECTED') end))), '{}')
    into found_out from jsonb_array_elements_text(new.input -> 'keyTypes') t where t is not null;
  perform dict.log_verification(new.id, found_out, new.closed_at);
  perform dict.publish_verification_summary(new.id);
  return null;
end $$;


ALTER FUNCTION dict.verification_closed() OWNER TO postgres;

--
-- Name: FUNCTION verification_closed(); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.verification_closed() IS 'For a verification that was cancelled, terminated or poisoned, or that failed before its summary: logs it and publishes its results so far, in the transaction that closed the run.';


--
-- Name: verification_key(text, text[]); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.verification_key(participant text, key_types text[]) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  select 'verification:' || participant || ':' || string_agg(distinct t, ',' order by t) from unnest(key_types) t
$$;


ALTER FUNCTION dict.verification_key(participant text, key_types text[]) OWNER TO postgres;

--
-- Name: FUNCTION verification_key(participant text, key_types text[]); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.verification_key(participant text, key_types text[]) IS 'The workflow key of the verifications of a participant and a set of key types, in any order.';


--
-- Name: vsync(text, text); Type: FUNCTION; Schema: dict; Owner: postgres
--

CREATE FUNCTION dict.vsync(of_participant text, of_key_type text, OUT entries bigint, OUT vsync text) RETURNS record
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  select coalesce(sum(count), 0), dict.hex(coalesce(bit_xor(xor), repeat('0', 256)::bit(256)))
  from dict.vsync_parts where participant = of_participant and key_type = of_key_type
$$;


ALTER FUNCTION dict.vsync(of_participant text, of_key_type text, OUT entries bigint, OUT vsync text) OWNER TO postgres;

--
-- Name: FUNCTION vsync(of_participant text, of_key_type text, OUT entries bigint, OUT vsync text); Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON FUNCTION dict.vsync(of_participant text, of_key_type text, OUT entries bigint, OUT vsync text) IS 'The VSync of a participant and key type (64 hex digits; the empty set is 64 zeros) and how many entries it covers. Takes about a millisecond with any number of keys.';


--
-- Name: uuidv7(); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.uuidv7() RETURNS uuid
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  -- 48 bits of Unix milliseconds over a random v4; bits 52 and 53 turn version 4 into 7.
  select encode(
    set_bit(set_bit(
      overlay(uuid_send(gen_random_uuid())
              placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
              from 1 for 6),
      52, 1), 53, 1), 'hex')::uuid
$$;


ALTER FUNCTION workflow.uuidv7() OWNER TO postgres;

--
-- Name: FUNCTION uuidv7(); Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON FUNCTION workflow.uuidv7() IS 'A UUID version 7 (RFC 9562), which sorts by creation time. Postgres has its own only from version 18 on.';


--
-- Name: runs; Type: TABLE; Schema: workflow; Owner: postgres
--

CREATE TABLE workflow.runs (
    id uuid DEFAULT workflow.uuidv7() NOT NULL,
    machine text NOT NULL,
    machine_version integer NOT NULL,
    workflow_key text NOT NULL,
    state text NOT NULL,
    status text DEFAULT 'PENDING'::text NOT NULL,
    input jsonb DEFAULT '{}'::jsonb NOT NULL,
    context jsonb DEFAULT '{}'::jsonb NOT NULL,
    attempt integer DEFAULT 0 NOT NULL,
    polls integer DEFAULT 0 NOT NULL,
    version bigint DEFAULT 0 NOT NULL,
    wake_at timestamp with time zone,
    deadline timestamp with time zone,
    entered_at timestamp with time zone NOT NULL,
    claimed_by text,
    claimed_at timestamp with time zone,
    cancel_requested_at timestamp with time zone,
    parent_id uuid,
    parent_close_policy text,
    continued_from uuid,
    started_by text NOT NULL,
    correlation_id text NOT NULL,
    error jsonb,
    failed_state text,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    closed_at timestamp with time zone,
    awaits uuid[],
    awaited_by uuid[],
    CONSTRAINT runs_check CHECK (((parent_id IS NULL) OR (parent_close_policy IS NOT NULL))),
    CONSTRAINT runs_check1 CHECK (((closed_at IS NULL) = (status = ANY (ARRAY['PENDING'::text, 'RUNNING'::text, 'WAITING'::text])))),
    CONSTRAINT runs_check2 CHECK (((closed_at IS NULL) OR ((claimed_by IS NULL) AND (wake_at IS NULL)))),
    CONSTRAINT runs_parent_close_policy_check CHECK ((parent_close_policy = ANY (ARRAY['ABANDON'::text, 'TERMINATE'::text, 'REQUEST_CANCEL'::text]))),
    CONSTRAINT runs_status_check CHECK ((status = ANY (ARRAY['PENDING'::text, 'RUNNING'::text, 'WAITING'::text, 'COMPLETED'::text, 'COMPLETED_WITH_QUARANTINE'::text, 'REJECTED'::text, 'CONTINUED'::text, 'FAILED'::text, 'POISONED'::text, 'CANCELLED'::text, 'TERMINATED'::text])))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='500', autovacuum_analyze_scale_factor='0.05');


ALTER TABLE workflow.runs OWNER TO postgres;

--
-- Name: TABLE runs; Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON TABLE workflow.runs IS 'One row per run of a machine. People read workflow.runs_view instead.';


--
-- Name: COLUMN runs.workflow_key; Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON COLUMN workflow.runs.workflow_key IS 'What the run is about. Unique among open runs, so that starting a run twice starts only one.';


--
-- Name: COLUMN runs.version; Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON COLUMN workflow.runs.version IS 'The fencing token: each claim raises it, and a step can commit only if it is unchanged.';


--
-- Name: COLUMN runs.wake_at; Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON COLUMN workflow.runs.wake_at IS 'When the next step is due, in workflow.now()''s time. While a step is running: when it was due, or when an earlier step was due that it followed immediately. Null: only a signal or a child''s end advances the run, or the run is closed.';


--
-- Name: COLUMN runs.failed_state; Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON COLUMN workflow.runs.failed_state IS 'The state whose failure leads or led the run to its end. workflow.retry returns the run to this state.';


--
-- Name: COLUMN runs.awaits; Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON COLUMN workflow.runs.awaits IS 'Runs that were already open under the key of a child that this run asked for. The run waits for them as for its children, but does not own them: its close policy and its cancellation do not affect them.';


--
-- Name: COLUMN runs.awaited_by; Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON COLUMN workflow.runs.awaited_by IS 'The reverse of awaits: the runs that wait for this run as for a child.';


--
-- Name: abandon(workflow.runs); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.abandon(r workflow.runs) RETURNS workflow.runs
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  n timestamptz := workflow.now();
  -- A live worker abandons its own claim when the claim's answer was lost. No worker died then.
  died boolean := not workflow.is_alive(r.claimed_by);
  deaths bigint;
  beside bigint := 0;
begin
  perform workflow.log(r, 'ABANDONED', n, detail => jsonb_build_object('died', died));
  if died then
    select count(*) into deaths from workflow.history h
    where h.run_id = r.id and h.event = 'ABANDONED' and h.detail -> 'died' = 'true'
      and h.id > coalesce((select max(e.id) from workflow.history e
                           where e.run_id = r.id and e.event in ('COMPLETED', 'RETRIED')), 0);
    if deaths >= 3 and r.cancel_requested_at is null then
      perform workflow.close_run(r, 'POISONED', jsonb_build_object('code', 'DV_STEP_POISONED', 'class', 'not_retryable',
        'message', format('Three workers died while they worked in %s. Find out why in their logs, then retry the run.', r.state)));
      select * into r from workflow.runs where id = r.id;
      return r;
    end if;
    if deaths = 2 then
      -- The dead worker had several steps at the same time, and one of them kills workers. Start them at different
      -- times now, so that the others survive.
      select count(*) into beside from workflow.runs x where x.claimed_by = r.claimed_by and x.id <> r.id;
    end if;
  end if;
  update workflow.runs set wake_at = n + beside * interval '5 seconds', claimed_by = null, claimed_at = null, updated_at = n
  where id = r.id returning * into r;
  return r;
end $$;


ALTER FUNCTION workflow.abandon(r workflow.runs) OWNER TO postgres;

--
-- Name: add_first_jobs(uuid[], text[]); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.add_first_jobs(run_ids uuid[], tasks text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_bitmapscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $_$
declare
  graphile text := (select value from workflow.settings where name = 'graphile_worker_schema');
begin
  execute format(
    'select from %1$I.add_jobs(array(
       select row(task, json_build_object(''run'', id), null, clock_timestamp(), 25, ''run:'' || id, null, null)::%1$I.job_spec
       from unnest($1, $2) as first (id, task)))', graphile)
    using run_ids, tasks;
end $_$;


ALTER FUNCTION workflow.add_first_jobs(run_ids uuid[], tasks text[]) OWNER TO postgres;

--
-- Name: add_job(uuid, text, timestamp with time zone, text); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.add_job(run_id uuid, task text, due timestamp with time zone, key_prefix text DEFAULT 'run:'::text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_bitmapscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $_$
declare
  graphile text := (select value from workflow.settings where name = 'graphile_worker_schema');
  job_id bigint;
begin
  -- The job's payload is only the run's id: what to do is in the run. The job's key prevents a second job of the run.
  for try in 1..5 loop
    execute format(
      'select id from %I.add_job($1, payload => $2, run_at => $3, max_attempts => 25, job_key => $4)', graphile)
      into job_id
      using task, json_build_object('run', run_id),
            clock_timestamp() + greatest(due - workflow.now(), '0'), key_prefix || run_id;
    -- add_job returns null when another transaction has locked the job with this key.
    exit when job_id is not null;
  end loop;
  if job_id is null then
    perform workflow.raise_error('DV_QUEUE_BUSY', format('Another transaction is changing the job of run %s. Try again.', run_id));
  end if;
end $_$;


ALTER FUNCTION workflow.add_job(run_id uuid, task text, due timestamp with time zone, key_prefix text) OWNER TO postgres;

--
-- Name: FUNCTION add_job(run_id uuid, task text, due timestamp with time zone, key_prefix text); Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON FUNCTION workflow.add_job(run_id uuid, task text, due timestamp with time zone, key_prefix text) IS 'Adds the job of a run, or moves it to another time. With another key prefix it adds a second job that only wakes the run. SECURITY DEFINER because Graphile Worker''s add_job needs its owner''s rights.';


--
-- Name: advance_clock(interval); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.advance_clock(by_how_much interval) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  r workflow.runs;
begin
  update workflow.clock set offset_by = offset_by + by_how_much;
  for r in select * from workflow.runs where closed_at is null and claimed_by is null and wake_at is not null loop
    perform workflow.add_job(r.id, workflow.job_task(r), r.wake_at);
  end loop;
end $$;


ALTER FUNCTION workflow.advance_clock(by_how_much interval) OWNER TO postgres;

--
-- Name: FUNCTION advance_clock(by_how_much interval); Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON FUNCTION workflow.advance_clock(by_how_much interval) IS 'For tests: moves workflow.now() forward, and the timers of all open runs with it.';


--
-- Name: states; Type: TABLE; Schema: workflow; Owner: postgres
--

CREATE TABLE workflow.states (
    machine text NOT NULL,
    version integer NOT NULL,
    state text NOT NULL,
    kind text NOT NULL,
    task text,
    max_attempts integer DEFAULT 5 NOT NULL,
    initial_interval interval DEFAULT '00:00:01'::interval NOT NULL,
    backoff double precision DEFAULT 2 NOT NULL,
    max_interval interval DEFAULT '00:00:30'::interval NOT NULL,
    start_to_close interval DEFAULT '00:05:00'::interval NOT NULL,
    poll_initial interval,
    poll_backoff double precision,
    poll_max interval,
    deadline interval,
    signals text[] DEFAULT '{}'::text[] NOT NULL,
    awaits_children boolean DEFAULT false NOT NULL,
    closes_as text,
    CONSTRAINT states_backoff_check CHECK ((backoff >= (1)::double precision)),
    CONSTRAINT states_check CHECK (((kind = ANY (ARRAY['wait'::text, 'terminal'::text])) = (task IS NULL))),
    CONSTRAINT states_check1 CHECK (((kind = 'terminal'::text) = (closes_as IS NOT NULL))),
    CONSTRAINT states_check2 CHECK (((kind <> 'wait'::text) OR awaits_children OR (cardinality(signals) > 0))),
    CONSTRAINT states_check3 CHECK (((kind = 'poll'::text) = ((poll_initial IS NOT NULL) AND (poll_backoff IS NOT NULL) AND (poll_max IS NOT NULL)))),
    CONSTRAINT states_closes_as_check CHECK ((closes_as = ANY (ARRAY['COMPLETED'::text, 'COMPLETED_WITH_QUARANTINE'::text, 'REJECTED'::text, 'CONTINUED'::text, 'FAILED'::text]))),
    CONSTRAINT states_kind_check CHECK ((kind = ANY (ARRAY['activity'::text, 'loop'::text, 'poll'::text, 'wait'::text, 'spawn'::text, 'terminal'::text]))),
    CONSTRAINT states_max_attempts_check CHECK ((max_attempts > 0)),
    CONSTRAINT states_poll_backoff_check CHECK ((poll_backoff >= (1)::double precision))
);


ALTER TABLE workflow.states OWNER TO postgres;

--
-- Name: TABLE states; Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON TABLE workflow.states IS 'The states of each machine, with their task, retry policy and time limits.';


--
-- Name: advance_waits(workflow.runs, workflow.states, jsonb); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.advance_waits(r workflow.runs, s workflow.states, continue_with jsonb DEFAULT NULL::jsonb) RETURNS workflow.runs
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  n timestamptz := workflow.now();
  sig workflow.signals;
  took text;
begin
  if s.kind = 'terminal' then
    -- A cancelled run is not continued.
    if s.closes_as = 'CONTINUED' and r.cancel_requested_at is not null then
      select * into r from workflow.runs where id = r.id;
      perform workflow.close_run(r, 'CANCELLED');
    else
      perform workflow.close_run(r, s.closes_as);
      if s.closes_as = 'CONTINUED' then
        perform workflow.continue_run(r, continue_with);
      end if;
    end if;
    select * into r from workflow.runs where id = r.id;
    return r;
  end if;
  if s.kind <> 'wait' then
    return r;
  end if;

  select * into sig from workflow.signals
  where run_id = r.id and consumed_at is null and name = any (s.signals)
  order by id limit 1 for update;
  if found then
    update workflow.signals set consumed_at = n where id = sig.id;
    update workflow.runs
    set context = context || jsonb_build_object('signal', jsonb_strip_nulls(jsonb_build_object(
      'name', sig.name, 'payload', sig.payload, 'by', sig.sent_by, 'reason', sig.reason, 'at', sig.sent_at)))
    where id = r.id returning * into r;
    took := sig.name;
  elsif s.awaits_children and not workflow.has_children_open(r) then
    took := 'children_closed';
  elsif r.deadline <= n then
    took := 'timeout';
  else
    if r.status <> 'WAITING' then
      perform workflow.log(r, 'WAITING', n);
    end if;
    update workflow.runs set status = 'WAITING', wake_at = deadline, updated_at = n,
      claimed_by = null, claimed_at = null
    where id = r.id returning * into r;
    return r;
  end if;

  perform workflow.log(r, 'WOKEN', n, took, workflow.next_state(r, took));
  return workflow.enter_state(r, workflow.next_state(r, took), continue_with);
end $$;


ALTER FUNCTION workflow.advance_waits(r workflow.runs, s workflow.states, continue_with jsonb) OWNER TO postgres;

--
-- Name: assert_claim(uuid, bigint, text); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.assert_claim(run_id uuid, run_version bigint, worker text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
begin
  perform workflow.fence(run_id, run_version, worker);
end $$;


ALTER FUNCTION workflow.assert_claim(run_id uuid, run_version bigint, worker text) OWNER TO postgres;

--
-- Name: FUNCTION assert_claim(run_id uuid, run_version bigint, worker text); Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON FUNCTION workflow.assert_claim(run_id uuid, run_version bigint, worker text) IS 'Ensures that a claimed run is not taken over before this transaction ends. DV_FENCED if it was already taken over or closed. A step calls it before it writes anything ahead of its final transaction: otherwise a worker that was frozen could overwrite what another worker has done.';


--
-- Name: await_open(uuid, uuid); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.await_open(parent uuid, child uuid) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
begin
  if not exists (select from workflow.runs r join workflow.states s on s.machine = r.machine and s.version = r.machine_version
                 where r.id = parent and s.awaits_children) then
    return;
  end if;
  -- One transaction at a time: two runs that begin to await each other simultaneously would not see each other.
  perform pg_advisory_xact_lock(hashtext('dict-vsync await'));
  -- A run that started the parent, or waits for it, is not awaited: neither of the two would ever end.
  if exists (
    with recursive above(id) as (
      select parent
      union
      select up.id from above join workflow.runs r on r.id = above.id, unnest(r.parent_id || r.awaited_by) as up (id)
      where up.id is not null)
    select from above where id = child) then
    return;
  end if;
  -- Written into the child's row, so that the transaction that closes the child sees it. If the child has closed by
  -- now, it counts as ended for the parent.
  update workflow.runs set awaited_by = awaited_by || parent
  where id = child and closed_at is null and parent <> all (coalesce(awaited_by, '{}'));
  if found then
    update workflow.runs set awaits = awaits || child where id = parent;
  end if;
end $$;


ALTER FUNCTION workflow.await_open(parent uuid, child uuid) OWNER TO postgres;

--
-- Name: FUNCTION await_open(parent uuid, child uuid); Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON FUNCTION workflow.await_open(parent uuid, child uuid) IS 'Makes a run wait for an open run as if it were its own child, and be woken when it ends. Does nothing if the run''s machine never waits for children, or if the two runs would wait for each other.';


--
-- Name: can_end_well(text, integer, text); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.can_end_well(of_machine text, of_version integer, of_state text) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  with recursive reachable(state) as (
    select of_state
    union
    select t.next_state from workflow.transitions t join reachable r on t.state = r.state
    where t.machine = of_machine and t.version = of_version and t.outcome <> 'failure')
  select exists (
    select from reachable r join workflow.states s on s.state = r.state
    where s.machine = of_machine and s.version = of_version and s.closes_as <> 'FAILED')
$$;


ALTER FUNCTION workflow.can_end_well(of_machine text, of_version integer, of_state text) OWNER TO postgres;

--
-- Name: cancel(uuid, text, text); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.cancel(run uuid, by_whom text DEFAULT SESSION_USER, why text DEFAULT NULL::text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  r workflow.runs;
begin
  select * into r from workflow.runs where id = run for update;
  if not found then
    perform workflow.raise_error('DV_RUN_NOT_FOUND', format('There is no run %s.', run));
  end if;
  if r.closed_at is not null then
    perform workflow.raise_error('DV_RUN_CLOSED', format('Run %s is already closed (%s) and cannot be cancelled.', run, r.status));
  end if;
  perform workflow.cancel_run(r, by_whom, why);
  return (select case when closed_at is null then 'CANCEL_REQUESTED' else status end from workflow.runs where id = run);
end $$;


ALTER FUNCTION workflow.cancel(run uuid, by_whom text, why text) OWNER TO postgres;

--
-- Name: FUNCTION cancel(run uuid, by_whom text, why text); Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON FUNCTION workflow.cancel(run uuid, by_whom text, why text) IS 'Cancels an open run: immediately, or at the end of its current step if a worker has claimed it. Returns CANCELLED or CANCEL_REQUESTED. Errors: DV_RUN_NOT_FOUND, DV_RUN_CLOSED.';


--
-- Name: cancel_run(workflow.runs, text, text); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.cancel_run(r workflow.runs, by_whom text, why text DEFAULT NULL::text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  n timestamptz := workflow.now();
begin
  perform workflow.log(r, 'CANCEL_REQUESTED', n, detail => jsonb_strip_nulls(jsonb_build_object('by', by_whom, 'reason', why)));
  if r.claimed_by is null then
    perform workflow.close_run(r, 'CANCELLED');
  else
    -- The worker that claimed the run learns of the request with its next heartbeat. The run closes when its step ends.
    update workflow.runs set cancel_requested_at = n, updated_at = n where id = r.id;
  end if;
end $$;


ALTER FUNCTION workflow.cancel_run(r workflow.runs, by_whom text, why text) OWNER TO postgres;

--
-- Name: claim(uuid, text); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.claim(run_id uuid, worker text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  r workflow.runs;
  s workflow.states;
begin
  select * into r from workflow.runs where id = run_id for update;
  if not found or r.closed_at is not null then
    return null;
  end if;
  if r.claimed_by is not null then
    -- A worker asks only for runs that it is not working on. If the claim is its own, the answer or the end of that
    -- claim was lost.
    if r.claimed_by <> worker and workflow.is_alive(r.claimed_by) then
      return null;
    end if;
    r := workflow.abandon(r);
  end if;
  select * into s from workflow.states
  where machine = r.machine and version = r.machine_version and state = r.state;
  if s.kind = 'wait' then
    r := workflow.advance_waits(r, s);
  end if;
  return workflow.schedule_next(r, worker, true);
end $$;


ALTER FUNCTION workflow.claim(run_id uuid, worker text) OWNER TO postgres;

--
-- Name: FUNCTION claim(run_id uuid, worker text); Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON FUNCTION workflow.claim(run_id uuid, worker text) IS 'Claims a run''s due step for a worker: raises version and attempt, and writes STARTED to the history. Returns the step as JSON, or null if no step is due.';


--
-- Name: claim_many(uuid[], text); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.claim_many(run_ids uuid[], worker text) RETURNS TABLE(run_id uuid, next jsonb)
    LANGUAGE plpgsql SECURITY DEFINER
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_bitmapscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  n timestamptz := workflow.now();
begin
  return query
  with locked as materialized (
    -- Found by id only. SKIP LOCKED: this statement never waits for a row while it has locked others.
    select * from workflow.runs where id = any (run_ids) for update skip locked
  ), due as (
    select r.id from locked r
    join workflow.states s on s.machine = r.machine and s.version = r.machine_version and s.state = r.state
    where r.closed_at is null and r.claimed_by is null and r.cancel_requested_at is null
      and s.task is not null and r.wake_at <= n + interval '2 milliseconds'
  ), claimed as (
    update workflow.runs r set
      status = 'RUNNING', version = r.version + 1, attempt = r.attempt + 1,
      claimed_by = worker, claimed_at = n, updated_at = n
    from due where r.id = due.id returning r.*
  ), written as (
    insert into workflow.history (run_id, version, event, state, attempt, at, worker)
    select c.id, c.version, 'STARTED', c.state, c.attempt, n, worker from claimed c
  )
  select c.id, workflow.step_of(c::workflow.runs, s) from claimed c
  join workflow.states s on s.machine = c.machine and s.version = c.machine_version and s.state = c.state;
end $$;


ALTER FUNCTION workflow.claim_many(run_ids uuid[], worker text) OWNER TO postgres;

--
-- Name: FUNCTION claim_many(run_ids uuid[], worker text); Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON FUNCTION workflow.claim_many(run_ids uuid[], worker text) IS 'Claims the due steps of several runs for a worker, but handles only the simple cases. Returns the claimed steps; call workflow.claim for each of the other runs.';


--
-- Name: close_run(workflow.runs, text, jsonb); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.close_run(r workflow.runs, final_status text, final_error jsonb DEFAULT NULL::jsonb) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  n timestamptz := workflow.now();
  child workflow.runs;
  parent workflow.runs;
begin
  -- Sets the state too: a terminal state is entered only by closing the run, never by an open run.
  update workflow.runs set
    state = r.state, attempt = r.attempt, status = final_status, closed_at = n, updated_at = n, wake_at = null, deadline = null,
    claimed_by = null, claimed_at = null, cancel_requested_at = null, error = coalesce(final_error, r.error),
    failed_state = case
      when final_status not in ('FAILED', 'POISONED') then null
      -- From this state the run could still have ended well. So it failed here: it had dealt with any earlier failure.
      when r.failed_state is null or workflow.can_end_well(r.machine, r.machine_version, r.state) then r.state
      else r.failed_state end
  where id = r.id;
  perform workflow.log(r, 'CLOSED', n, final_status, error => final_error);
  if final_status in ('FAILED', 'POISONED') then
    insert into workflow.failures_to_log (run_id, status, error) values (r.id, final_status, coalesce(final_error, r.error));
  end if;

  for child in select * from workflow.runs
               where parent_id = r.id and closed_at is null and parent_close_policy <> 'ABANDON'
               order by id for update loop
    if child.parent_close_policy = 'TERMINATE' then
      perform workflow.close_run(child, 'TERMINATED');
    else
      perform workflow.cancel_run(child, 'parent ' || r.id);
    end if;
  end loop;

  -- A job wakes the parent, and this transaction does not touch the parent's row: the parent may be closing right now
  -- and waiting for our lock. The job has its own key and is added whatever state the parent is in: the parent may be
  -- entering its wait, or moving its own job to its deadline, in a transaction that does not see this close.
  select p.* into parent from workflow.runs p
  where p.id = r.parent_id and p.closed_at is null and exists (
    select from workflow.states s
    where s.machine = p.machine and s.version = p.machine_version and s.awaits_children);
  if found then
    perform workflow.add_job(parent.id, 'advance_run', n, 'children:');
  end if;
end $$;


ALTER FUNCTION workflow.close_run(r workflow.runs, final_status text, final_error jsonb) OWNER TO postgres;

--
-- Name: complete_many(text, jsonb, boolean); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.complete_many(worker text, steps jsonb, stay boolean) RETURNS TABLE(run_id uuid, next jsonb)
    LANGUAGE plpgsql SECURITY DEFINER
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_bitmapscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  n timestamptz := workflow.now();
begin
  return query
  with locked as materialized (
    -- Found by id only. SKIP LOCKED: this statement never waits for a row while it has locked others.
    select r.*, a.place, a.result, a.version as claimed_version
    from rows from (jsonb_to_recordset(steps) as (id uuid, version bigint, result jsonb)) with ordinality
      as a (id, version, result, place)
    join workflow.runs r on r.id = a.id
    for update of r skip locked
  ), ended as (
    select r.place, r.result, r.id, r.version, r.state, r.attempt, t.outcome, x.state as target, x.closes_as, x.deadline,
      x.kind = 'terminal' as closes,
      -- The error of an earlier attempt is cleared, because this attempt succeeded. On a failure path the error stays.
      coalesce(r.result -> 'error', case when r.failed_state is not null then r.error end) as error,
      case when r.result -> 'error' is not null then r.state else r.failed_state end as failed_state
    from locked r
    join workflow.states s on s.machine = r.machine and s.version = r.machine_version and s.state = r.state
    join workflow.transitions t on t.machine = r.machine and t.version = r.machine_version and t.state = r.state
      and t.outcome = r.result ->> 'outcome'
    join workflow.states x on x.machine = t.machine and x.version = t.version and x.state = t.next_state
    -- The compare-and-set: the run must still be as this worker claimed it.
    where r.version = r.claimed_version and r.claimed_by = worker and r.closed_at is null
      and r.cancel_requested_at is null
      and not r.result ?| array['children', 'continueAsNew', 'wakeAfterMs']
      and (s.kind, t.outcome) not in (('poll', 'pending'), ('loop', 'again'))
      and (stay and x.task is not null
           or x.closes_as not in ('CONTINUED', 'FAILED') and r.parent_id is null and not exists (
             select from workflow.runs c
             where c.parent_id = r.id and c.closed_at is null and c.parent_close_policy <> 'ABANDON'))
  ), moved as (
    update workflow.runs r set
      state = e.target, status = coalesce(e.closes_as, 'RUNNING'), context = r.context || coalesce(e.result -> 'context', '{}'),
      version = case when e.closes then r.version else r.version + 1 end,
      attempt = case when e.closes then 0 else 1 end,
      polls = case when e.closes then r.polls else 0 end,
      error = e.error,
      failed_state = case when not e.closes then e.failed_state end,
      entered_at = case when e.closes then r.entered_at else n end,
      deadline = case when not e.closes then n + e.deadline end,
      wake_at = case when not e.closes then r.wake_at end,
      claimed_by = case when not e.closes then worker end,
      claimed_at = case when not e.closes then n end,
      closed_at = case when e.closes then n end,
      updated_at = n
    from ended e where r.id = e.id returning r.*
  ), written as (
    insert into workflow.history (run_id, version, event, state, attempt, outcome, next_state, at, worker, detail)
    select e.id, h.version, h.event, h.state, h.attempt, h.outcome, h.next_state, n, worker, h.detail
    from ended e, lateral (values
      (1, e.version, 'COMPLETED', e.state, e.attempt, e.outcome, e.target, e.result -> 'detail'),
      (2, case when e.closes then e.version else e.version + 1 end, case when e.closes then 'CLOSED' else 'STARTED' end,
       e.target, case when e.closes then 0 else 1 end, e.closes_as, null, null)
    ) as h (line, version, event, state, attempt, outcome, next_state, detail)
    order by e.place, h.line
  )
  select m.id, case when m.closed_at is null then workflow.step_of(m::workflow.runs, x) end from moved m
  join workflow.states x on x.machine = m.machine and x.version = m.machine_version and x.state = m.state;
end $$;


ALTER FUNCTION workflow.complete_many(worker text, steps jsonb, stay boolean) OWNER TO postgres;

--
-- Name: FUNCTION complete_many(worker text, steps jsonb, stay boolean); Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON FUNCTION workflow.complete_many(worker text, steps jsonb, stay boolean) IS 'Completes several steps, [{id, version, result}], but handles only the simple cases: a step that leads to another step, or to a final state (other than FAILED) of a run without parent, open children or successor. Returns those; the others stay unchanged, for workflow.complete_step.';


--
-- Name: complete_step(uuid, bigint, text, jsonb, boolean); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.complete_step(run_id uuid, run_version bigint, worker text, result jsonb, stay boolean) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  n timestamptz;
  r workflow.runs;
  s workflow.states;
  took text := result ->> 'outcome';
  target text;
  wake timestamptz;
  until timestamptz;
  child jsonb;
  started uuid[] := '{}';
  detail jsonb := result -> 'detail';
  straight jsonb;
begin
  -- complete_many handles the simple cases and decides itself which they are, so that their rules are written once.
  select m.next into straight from workflow.complete_many(
    worker, jsonb_build_array(jsonb_build_object('id', run_id, 'version', run_version, 'result', result)), stay) m;
  if found then
    return straight;
  end if;

  n := workflow.now();
  r := workflow.fence(run_id, run_version, worker);
  select * into s from workflow.states
  where machine = r.machine and version = r.machine_version and state = r.state;

  if s.kind = 'poll' and took = 'pending' and result ? 'deadlineMs' then
    r.deadline := r.entered_at + (result ->> 'deadlineMs')::double precision * interval '1 millisecond';
  end if;
  if s.kind = 'poll' and took = 'pending' and n >= r.deadline then
    took := 'timeout';
  end if;
  if s.kind = 'poll' and took = 'pending' then
    -- The exponent is capped because 2^64 s overflows an interval. poll_max limits the result long before.
    wake := least(r.deadline, n + coalesce(
      (result ->> 'wakeAfterMs')::double precision * interval '1 millisecond',
      least(s.poll_initial * power(s.poll_backoff, least(r.polls, 30)), s.poll_max)));
  elsif s.kind = 'loop' and took = 'again' then
    wake := n + coalesce((result ->> 'wakeAfterMs')::double precision, 0) * interval '1 millisecond';
  else
    target := workflow.next_state(r, took);
  end if;

  for child in select * from jsonb_array_elements(coalesce(result -> 'children', '[]')) loop
    started := started || workflow.start_run(
      child ->> 'machine', child ->> 'key', coalesce(child -> 'input', '{}'), 'run ' || r.id, r.correlation_id,
      r.id, coalesce(child ->> 'policy', 'ABANDON'));
  end loop;
  if cardinality(started) > 0 then
    detail := coalesce(detail, '{}') || jsonb_build_object('children', to_jsonb(started));
  end if;

  until := r.deadline;
  perform workflow.log(r, 'COMPLETED', n, took, target, detail => detail);
  update workflow.runs set
    context = context || coalesce(result -> 'context', '{}'),
    -- The error of an earlier attempt is cleared, because this attempt succeeded. On a failure path the error stays.
    error = coalesce(result -> 'error', case when failed_state is not null then error end),
    failed_state = case when result -> 'error' is not null then state else failed_state end,
    updated_at = n
  where id = r.id returning * into r;

  if target is null then
    update workflow.runs set
      attempt = 0, polls = polls + 1, wake_at = wake, deadline = until, claimed_by = null, claimed_at = null,
      -- A loop that makes progress gets a new hour of rate-limited waits without using up attempts (see fail_step).
      entered_at = case when s.kind = 'loop' then n else entered_at end
    where id = r.id returning * into r;
  else
    r := workflow.enter_state(r, target, result -> 'continueAsNew');
    if result ? 'wakeAfterMs' and r.status = 'RUNNING' then
      update workflow.runs set wake_at = n + (result ->> 'wakeAfterMs')::double precision * interval '1 millisecond'
      where id = r.id returning * into r;
    end if;
  end if;
  return workflow.schedule_next(r, worker, stay);
end $$;


ALTER FUNCTION workflow.complete_step(run_id uuid, run_version bigint, worker text, result jsonb, stay boolean) OWNER TO postgres;

--
-- Name: continue_run(workflow.runs, jsonb); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.continue_run(r workflow.runs, new_input jsonb) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  fresh workflow.runs;
  s workflow.states;
begin
  fresh.id := workflow.start_run(r.machine, r.workflow_key, coalesce(new_input, r.input),
    r.started_by, r.correlation_id, r.parent_id, r.parent_close_policy, r.id);
  -- The successor inherits the signals that were not consumed yet, and may already be waiting for one of them.
  update workflow.signals g set run_id = fresh.id where g.run_id = r.id and g.consumed_at is null;
  select * into fresh from workflow.runs where id = fresh.id;
  if found and fresh.status = 'WAITING' then
    select * into s from workflow.states
    where machine = fresh.machine and version = fresh.machine_version and state = fresh.state;
    perform workflow.schedule_next(workflow.advance_waits(fresh, s), null, false);
  end if;
end $$;


ALTER FUNCTION workflow.continue_run(r workflow.runs, new_input jsonb) OWNER TO postgres;

--
-- Name: enter_state(workflow.runs, text, jsonb); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.enter_state(r workflow.runs, new_state text, continue_with jsonb DEFAULT NULL::jsonb) RETURNS workflow.runs
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  n timestamptz := workflow.now();
  s workflow.states;
begin
  select * into strict s from workflow.states
  where machine = r.machine and version = r.machine_version and state = new_state;
  if s.kind = 'terminal' then
    r.state := new_state;
    r.attempt := 0;
  else
    update workflow.runs set
      state = new_state, status = 'RUNNING', attempt = 0, polls = 0, entered_at = n, updated_at = n,
      wake_at = n, deadline = n + s.deadline, claimed_by = null, claimed_at = null
    where id = r.id returning * into r;
  end if;
  return workflow.advance_waits(r, s, continue_with);
end $$;


ALTER FUNCTION workflow.enter_state(r workflow.runs, new_state text, continue_with jsonb) OWNER TO postgres;

--
-- Name: expired_runs(interval); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.expired_runs(older_than interval) RETURNS SETOF uuid
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  select r.id from workflow.runs r
  where r.closed_at < workflow.now() - older_than
    -- A parent is kept as long as one of its children is open.
    and not exists (select from workflow.runs c where c.parent_id = r.id and c.closed_at is null)
$$;


ALTER FUNCTION workflow.expired_runs(older_than interval) OWNER TO postgres;

--
-- Name: FUNCTION expired_runs(older_than interval); Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON FUNCTION workflow.expired_runs(older_than interval) IS 'The closed runs that retention removes when it keeps runs for this long.';


--
-- Name: fail_step(uuid, bigint, text, jsonb, boolean); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.fail_step(run_id uuid, run_version bigint, worker text, error jsonb, stay boolean) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  n timestamptz := workflow.now();
  r workflow.runs := workflow.fence(run_id, run_version, worker);
  s workflow.states;
  class text := error ->> 'class';
  retry_at timestamptz := (error ->> 'retryAt')::timestamptz;
  pause interval;
  uses_attempt boolean := true;
  target text;
begin
  select * into s from workflow.states
  where machine = r.machine and version = r.machine_version and state = r.state;

  -- Being asked to wait (rate_limited) is not a failure. For at most one hour in a state it uses up no attempt.
  if class = 'rate_limited' and n < r.entered_at + interval '1 hour' then
    uses_attempt := false;
    pause := greatest(coalesce(retry_at - n, s.max_interval), '10 milliseconds') * (1 + random() * 0.1);
  elsif class <> 'not_retryable' and r.attempt < s.max_attempts and r.cancel_requested_at is null then
    pause := least(s.initial_interval * power(s.backoff, least(r.attempt, 30) - 1), s.max_interval) * (1 + random() * 0.1);
    pause := greatest(pause, coalesce(retry_at - n, '0'));
  end if;

  if pause is not null then
    perform workflow.log(r, 'FAILED', n, 'retry', error => error);
    update workflow.runs u set
      attempt = case when uses_attempt then u.attempt else u.attempt - 1 end,
      -- On a failure path the error that led there stays, because it is why the run fails.
      error = case when u.failed_state is null then fail_step.error else u.error end,
      wake_at = n + pause, claimed_by = null, claimed_at = null, updated_at = n
    where id = r.id returning * into r;
    return workflow.schedule_next(r, worker, false);
  end if;

  if r.cancel_requested_at is not null then
    perform workflow.log(r, 'FAILED', n, 'cancelled', error => error);
    perform workflow.close_run(r, 'CANCELLED', error);
    return null;
  end if;
  select t.next_state into target from workflow.transitions t
  where t.machine = r.machine and t.version = r.machine_version and t.state = r.state and t.outcome = 'failure';
  perform workflow.log(r, 'FAILED', n, 'failure', target, error => error);
  if target is null then
    perform workflow.close_run(r, 'FAILED', error);
    return null;
  end if;
  update workflow.runs u set error = fail_step.error, failed_state = r.state where id = r.id returning * into r;
  return workflow.schedule_next(workflow.enter_state(r, target), worker, stay);
end $$;


ALTER FUNCTION workflow.fail_step(run_id uuid, run_version bigint, worker text, error jsonb, stay boolean) OWNER TO postgres;

--
-- Name: fence(uuid, bigint, text); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.fence(run_id uuid, run_version bigint, worker text) RETURNS workflow.runs
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  r workflow.runs;
begin
  select * into r from workflow.runs
  where id = run_id and version = run_version and claimed_by = worker and closed_at is null for update;
  if not found then
    perform workflow.raise_error('DV_FENCED', format('Run %s was taken over or closed while this step was working. What the step wrote is discarded.', run_id));
  end if;
  return r;
end $$;


ALTER FUNCTION workflow.fence(run_id uuid, run_version bigint, worker text) OWNER TO postgres;

--
-- Name: find_run(text); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.find_run(name text) RETURNS uuid
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $_$
declare
  found_id uuid;
begin
  if name ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' then
    select id into found_id from workflow.runs where id = name::uuid;
  else
    select id into found_id from workflow.runs where workflow_key = name
    order by (closed_at is null) desc, id desc limit 1;
  end if;
  if found_id is null then
    perform workflow.raise_error('DV_RUN_NOT_FOUND', 'There is no such run. `dict-vsync list` shows the runs; name a run by its id or its workflow key.');
  end if;
  return found_id;
end $_$;


ALTER FUNCTION workflow.find_run(name text) OWNER TO postgres;

--
-- Name: FUNCTION find_run(name text); Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON FUNCTION workflow.find_run(name text) IS 'The id of the run with this id or workflow key. Of several runs with one workflow key: the open one, otherwise the newest.';


--
-- Name: grant_api(regrole); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.grant_api(to_role regrole) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  f regprocedure;
begin
  execute format('grant usage on schema dict, workflow to %s', to_role);
  for f in select p.oid::regprocedure from pg_proc p
           where p.pronamespace = 'dict'::regnamespace and p.proname in ('start_verification', 'start_reconciliation',
               'approve_reconciliation', 'reject_reconciliation', 'register_local_only', 'remove_unsure', 'start_undo', 'release_keys', 'retry_outbox')
             or p.pronamespace = 'workflow'::regnamespace and p.proname in ('cancel', 'retry', 'find_run') loop
    execute format('grant execute on function %s to %s', f, to_role);
  end loop;
end $$;


ALTER FUNCTION workflow.grant_api(to_role regrole) OWNER TO postgres;

--
-- Name: FUNCTION grant_api(to_role regrole); Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON FUNCTION workflow.grant_api(to_role regrole) IS 'Grants a role the documented functions that start, approve or reject, undo, cancel and retry, and nothing else. Only the owner may call it.';


--
-- Name: guard_history(); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.guard_history() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
begin
  perform workflow.raise_error('DV_HISTORY_APPEND_ONLY', 'History is append-only. Its rows cannot be changed.');
  return null;
end $$;


ALTER FUNCTION workflow.guard_history() OWNER TO postgres;

--
-- Name: guard_history_deletion(); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.guard_history_deletion() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
begin
  if exists (select from gone g join workflow.runs r on r.id = g.run_id) then
    perform workflow.raise_error('DV_HISTORY_APPEND_ONLY',
      'History is append-only. Its rows are removed only together with their run, by retention.');
  end if;
  return null;
end $$;


ALTER FUNCTION workflow.guard_history_deletion() OWNER TO postgres;

--
-- Name: guard_run(); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.guard_run() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  s workflow.states;
begin
  if tg_op = 'INSERT' then
    if not exists (select from workflow.machines m
                   where m.name = new.machine and m.version = new.machine_version and m.initial_state = new.state)
       or new.status <> 'PENDING' then
      perform workflow.raise_error('DV_TRANSITION_FORBIDDEN', format(
        'A run of %s version %s begins PENDING in the machine''s initial state. Start it with workflow.start_run.',
        new.machine, new.machine_version));
    end if;
    return new;
  end if;

  if (new.id, new.machine, new.machine_version, new.workflow_key) is distinct from
     (old.id, old.machine, old.machine_version, old.workflow_key) then
    perform workflow.raise_error('DV_TRANSITION_FORBIDDEN',
      'A run''s id, machine, version and workflow key never change. Start another run instead.');
  end if;

  if old.closed_at is not null then
    if new.closed_at is null then
      -- Only workflow.retry opens a run again: a failed one, in the state that failed.
      if old.status not in ('FAILED', 'POISONED') or new.state <> coalesce(old.failed_state, old.state) then
        perform workflow.raise_error('DV_RUN_CLOSED', format('Run %s is closed (%s); only a failed run can be retried.', old.id, old.status));
      end if;
    else
      -- Its links may become null: retention removes the runs that they name.
      if to_jsonb(new) - array['parent_id', 'continued_from'] <> to_jsonb(old) - array['parent_id', 'continued_from'] then
        perform workflow.raise_error('DV_RUN_CLOSED', format('Run %s is closed (%s) and can no longer be changed.', old.id, old.status));
      end if;
      return new;
    end if;
  elsif new.state <> old.state and not exists (
       select from workflow.transitions t
       where t.machine = old.machine and t.version = old.machine_version
         and t.state = old.state and t.next_state = new.state) then
    perform workflow.raise_error('DV_TRANSITION_FORBIDDEN', format(
      'Machine %s version %s has no transition from %s to %s.', old.machine, old.machine_version, old.state, new.state));
  end if;

  select * into s from workflow.states
  where machine = new.machine and version = new.machine_version and state = new.state;
  -- FAILED, CANCELLED, TERMINATED and POISONED may end a run in any state. The other final statuses belong to terminal
  -- states of the machine.
  if new.status in ('COMPLETED', 'COMPLETED_WITH_QUARANTINE', 'REJECTED', 'CONTINUED')
       and new.status is distinct from s.closes_as
     or s.kind = 'terminal' and new.closed_at is null
     or new.status = 'WAITING' and s.kind <> 'wait' then
    perform workflow.raise_error('DV_TRANSITION_FORBIDDEN', format(
      'Status %s is not possible in state %s of machine %s version %s.', new.status, new.state, new.machine, new.machine_version));
  end if;
  return new;
end $$;


ALTER FUNCTION workflow.guard_run() OWNER TO postgres;

--
-- Name: hand_over(uuid, bigint, text); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.hand_over(run_id uuid, run_version bigint, worker text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  n timestamptz := workflow.now();
  r workflow.runs := workflow.fence(run_id, run_version, worker);
begin
  perform workflow.log(r, 'RELEASED', n, detail => '{"handedOver": true}');
  update workflow.runs set attempt = attempt - 1, wake_at = n, claimed_by = null, claimed_at = null, updated_at = n
  where id = r.id returning * into r;
  if r.cancel_requested_at is not null then
    perform workflow.close_run(r, 'CANCELLED');
    return;
  end if;
  -- Only programs with this version of the machine have this task, so the worker that hands the step over does not
  -- receive it again.
  perform workflow.add_job(r.id, workflow.version_task(r.machine, r.machine_version), n);
end $$;


ALTER FUNCTION workflow.hand_over(run_id uuid, run_version bigint, worker text) OWNER TO postgres;

--
-- Name: FUNCTION hand_over(run_id uuid, run_version bigint, worker text); Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON FUNCTION workflow.hand_over(run_id uuid, run_version bigint, worker text) IS 'Hands a claimed step over to a worker whose program has the run''s version of its machine. Uses up no attempt.';


--
-- Name: has_children_open(workflow.runs, timestamp with time zone); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.has_children_open(r workflow.runs, since timestamp with time zone DEFAULT 'infinity'::timestamp with time zone) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  with recursive awaited(id, closed_at) as (
    select c.id, c.closed_at from workflow.runs c where c.id = any (r.awaits)
    union
    -- The successor of a run that closed CONTINUED counts as the same run.
    select n.id, n.closed_at from workflow.runs n join awaited a on n.continued_from = a.id)
  select exists (select from workflow.runs c where c.parent_id = r.id and (c.closed_at is null or c.closed_at > since))
    or r.awaits is not null and exists (select from awaited where closed_at is null or closed_at > since)
$$;


ALTER FUNCTION workflow.has_children_open(r workflow.runs, since timestamp with time zone) OWNER TO postgres;

--
-- Name: FUNCTION has_children_open(r workflow.runs, since timestamp with time zone); Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON FUNCTION workflow.has_children_open(r workflow.runs, since timestamp with time zone) IS 'Whether a run has children that are open, or that closed after this time. Children that it does not own count too.';


--
-- Name: heartbeat(text, text[]); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.heartbeat(worker text, graphile_pools text[]) RETURNS TABLE(run_id uuid, run_version bigint, cancel boolean)
    LANGUAGE sql SECURITY DEFINER
    SET lock_timeout TO '2s'
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  -- Clears stopped_at: a worker that was silent and was taken for dead is alive again.
  insert into workflow.workers (id, graphile_ids) values (worker, graphile_pools)
  on conflict (id) do update
    set heartbeat_at = clock_timestamp(), graphile_ids = excluded.graphile_ids, stopped_at = null;
  select id, version, cancel_requested_at is not null from workflow.runs where claimed_by = worker
$$;


ALTER FUNCTION workflow.heartbeat(worker text, graphile_pools text[]) OWNER TO postgres;

--
-- Name: FUNCTION heartbeat(worker text, graphile_pools text[]); Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON FUNCTION workflow.heartbeat(worker text, graphile_pools text[]) IS 'Records that a worker is alive. Returns the runs that it has claimed, and which of them are to be cancelled.';


--
-- Name: inherit_awaiting(); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.inherit_awaiting() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
begin
  new.awaited_by := (select awaited_by from workflow.runs where id = new.continued_from);
  return new;
end $$;


ALTER FUNCTION workflow.inherit_awaiting() OWNER TO postgres;

--
-- Name: FUNCTION inherit_awaiting(); Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON FUNCTION workflow.inherit_awaiting() IS 'A trigger: runs that awaited a run which closed CONTINUED await its successor instead.';


--
-- Name: is_alive(text); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.is_alive(worker text) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  select exists (
    select from workflow.workers
    where id = worker and stopped_at is null
      -- A heartbeat far in the future was written before the server's clock was set back.
      and heartbeat_at < clock_timestamp() + workflow.lease()
      and (heartbeat_at > clock_timestamp() - workflow.lease()
        -- While Postgres was down no worker could send a heartbeat. After it starts, all workers that were alive up to
        -- 30 minutes before get one lease.
        or pg_postmaster_start_time() > clock_timestamp() - workflow.lease()
           and heartbeat_at > pg_postmaster_start_time() - interval '30 minutes'))
$$;


ALTER FUNCTION workflow.is_alive(worker text) OWNER TO postgres;

--
-- Name: job_task(workflow.runs); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.job_task(r workflow.runs) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  -- A job has the name of the activity that it does first. A wait has no activity: its timer's task is `advance_run`.
  select coalesce(task, 'advance_run') from workflow.states
  where machine = r.machine and version = r.machine_version and state = r.state
$$;


ALTER FUNCTION workflow.job_task(r workflow.runs) OWNER TO postgres;

--
-- Name: lease(); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.lease() RETURNS interval
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  -- Five missed heartbeats (one every 2 s). With a sweep every 2 s a dead worker's runs continue within 15 s.
  select interval '10 seconds'
$$;


ALTER FUNCTION workflow.lease() OWNER TO postgres;

--
-- Name: FUNCTION lease(); Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON FUNCTION workflow.lease() IS 'How long a worker may be silent before it is taken for dead.';


--
-- Name: log(workflow.runs, text, timestamp with time zone, text, text, jsonb, jsonb, text); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.log(r workflow.runs, event text, at timestamp with time zone, outcome text DEFAULT NULL::text, next_state text DEFAULT NULL::text, error jsonb DEFAULT NULL::jsonb, detail jsonb DEFAULT NULL::jsonb, worker text DEFAULT NULL::text) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  insert into workflow.history (run_id, version, event, state, attempt, outcome, next_state, at, worker, error, detail)
  values (r.id, r.version, event, r.state, r.attempt, outcome, next_state, at, coalesce(worker, r.claimed_by), error, detail)
$$;


ALTER FUNCTION workflow.log(r workflow.runs, event text, at timestamp with time zone, outcome text, next_state text, error jsonb, detail jsonb, worker text) OWNER TO postgres;

--
-- Name: next_state(workflow.runs, text); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.next_state(r workflow.runs, took text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  result text;
begin
  select t.next_state into result from workflow.transitions t
  where t.machine = r.machine and t.version = r.machine_version and t.state = r.state and t.outcome = took;
  if result is null then
    perform workflow.raise_error('DV_OUTCOME_UNKNOWN', format(
      'State %s of machine %s version %s has no outcome "%s".', r.state, r.machine, r.machine_version, took));
  end if;
  return result;
end $$;


ALTER FUNCTION workflow.next_state(r workflow.runs, took text) OWNER TO postgres;

--
-- Name: raise_error(text, text); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.raise_error(code text, message text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
begin
  raise exception using errcode = 'DV000', message = message, detail = code;
end $$;


ALTER FUNCTION workflow.raise_error(code text, message text) OWNER TO postgres;

--
-- Name: release_step(uuid, bigint, text); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.release_step(run_id uuid, run_version bigint, worker text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  n timestamptz := workflow.now();
  r workflow.runs := workflow.fence(run_id, run_version, worker);
begin
  perform workflow.log(r, 'RELEASED', n);
  update workflow.runs set attempt = attempt - 1, wake_at = n, claimed_by = null, claimed_at = null, updated_at = n
  where id = r.id returning * into r;
  perform workflow.schedule_next(r, worker, false);
end $$;


ALTER FUNCTION workflow.release_step(run_id uuid, run_version bigint, worker text) OWNER TO postgres;

--
-- Name: remove_expired_runs(interval, integer); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.remove_expired_runs(older_than interval, most integer DEFAULT 100) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $_$
declare
  graphile text := (select value from workflow.settings where name = 'graphile_worker_schema');
  removed integer;
  more integer;
begin
  -- History and signals are removed with their run.
  delete from workflow.runs where id in (
    select id from workflow.runs where id in (select workflow.expired_runs(older_than) limit most)
    for update skip locked);
  get diagnostics removed = row_count;
  delete from workflow.schedule_ticks where (schedule, tick) in (
    select schedule, tick from workflow.schedule_ticks where decided_at < workflow.now() - older_than
    limit most for update skip locked);
  get diagnostics more = row_count;
  removed := removed + more;
  -- Our jobs that Graphile Worker gave up and that no longer have a key. They do no harm, but Graphile Worker never
  -- removes them.
  execute format(
    'select count(*)::integer from %I.complete_jobs(array(
       select id from %1$I.jobs
       where key is null and locked_at is null and attempts >= max_attempts and max_attempts = 25
         and run_at < clock_timestamp() - interval ''7 days''
         and (task_identifier = ''advance_run'' or task_identifier in (select task from workflow.states))
       limit $1))', graphile) into more using most;
  return removed + more;
end $_$;


ALTER FUNCTION workflow.remove_expired_runs(older_than interval, most integer) OWNER TO postgres;

--
-- Name: FUNCTION remove_expired_runs(older_than interval, most integer); Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON FUNCTION workflow.remove_expired_runs(older_than interval, most integer) IS 'Removes up to N closed runs of this age (with history and signals), up to N ticks of schedules and up to N jobs that were given up, in one short transaction. Returns the number of rows removed. Call it until it returns 0.';


--
-- Name: retry(uuid, text, text); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.retry(run uuid, by_whom text DEFAULT SESSION_USER, why text DEFAULT NULL::text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  n timestamptz := workflow.now();
  r workflow.runs;
  s workflow.states;
begin
  select * into r from workflow.runs where id = run for update;
  if not found then
    perform workflow.raise_error('DV_RUN_NOT_FOUND', format('There is no run %s.', run));
  end if;
  if r.status not in ('FAILED', 'POISONED') then
    perform workflow.raise_error('DV_RUN_NOT_FAILED', format('Run %s is %s; only a FAILED or POISONED run can be retried.', run, r.status));
  end if;
  select * into s from workflow.states
  where machine = r.machine and version = r.machine_version and state = coalesce(r.failed_state, r.state);
  if s.kind = 'terminal' then
    perform workflow.raise_error('DV_RUN_NOT_RETRYABLE', format('Run %s ended in %s, which is a regular end of its machine. Start a new run instead.', run, s.state));
  end if;
  begin
    update workflow.runs set
      state = s.state, status = 'RUNNING', closed_at = null, attempt = 0, polls = 0, error = null, failed_state = null,
      entered_at = n, deadline = n + s.deadline, wake_at = n, updated_at = n
    where id = run returning * into r;
  exception when unique_violation then
    perform workflow.raise_error('DV_RUN_KEY_OPEN', format('Another open run has the key %s. Wait until it ends or cancel it, then retry.', r.workflow_key));
  end;
  perform workflow.log(r, 'RETRIED', n, detail => jsonb_strip_nulls(jsonb_build_object('by', by_whom, 'reason', why)));
  perform workflow.schedule_next(r, null, false);
  return r.state;
end $$;


ALTER FUNCTION workflow.retry(run uuid, by_whom text, why text) OWNER TO postgres;

--
-- Name: FUNCTION retry(run uuid, by_whom text, why text); Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON FUNCTION workflow.retry(run uuid, by_whom text, why text) IS 'Opens a FAILED or POISONED run again in the state in which it failed, and returns that state. Errors: DV_RUN_NOT_FOUND, DV_RUN_NOT_FAILED, DV_RUN_NOT_RETRYABLE, DV_RUN_KEY_OPEN.';


--
-- Name: schedule_next(workflow.runs, text, boolean); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.schedule_next(r workflow.runs, worker text, stay boolean) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  n timestamptz := workflow.now();
  s workflow.states;
begin
  if r.closed_at is not null then
    return null;
  end if;
  if r.cancel_requested_at is not null then
    perform workflow.close_run(r, 'CANCELLED');
    return null;
  end if;
  if r.wake_at is null then
    return null;
  end if;
  -- 2 ms: a timer's job may start that much too early, and another trip through the queue costs more.
  if not stay or r.wake_at > n + interval '2 milliseconds' or r.status = 'WAITING' then
    perform workflow.add_job(r.id, workflow.job_task(r), r.wake_at);
    return null;
  end if;

  update workflow.runs set
    status = 'RUNNING', version = r.version + 1, attempt = r.attempt + 1, claimed_by = worker, claimed_at = n, updated_at = n
  where id = r.id returning * into r;
  perform workflow.log(r, 'STARTED', n);
  select * into s from workflow.states
  where machine = r.machine and version = r.machine_version and state = r.state;
  return workflow.step_of(r, s);
end $$;


ALTER FUNCTION workflow.schedule_next(r workflow.runs, worker text, stay boolean) OWNER TO postgres;

--
-- Name: signal(uuid, text, jsonb, text, text); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.signal(run_id uuid, signal_name text, payload jsonb DEFAULT '{}'::jsonb, by_whom text DEFAULT SESSION_USER, why text DEFAULT NULL::text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  n timestamptz := workflow.now();
  r workflow.runs;
  s workflow.states;
begin
  select * into r from workflow.runs where id = run_id for update;
  if not found then
    perform workflow.raise_error('DV_RUN_NOT_FOUND', format('There is no run %s.', run_id));
  end if;
  if r.closed_at is not null then
    perform workflow.raise_error('DV_RUN_CLOSED', format('Run %s is closed (%s) and no longer accepts signals.', run_id, r.status));
  end if;
  insert into workflow.signals (run_id, name, payload, sent_by, reason, sent_at)
  values (r.id, signal_name, payload, by_whom, why, n);
  perform workflow.log(r, 'SIGNALLED', n, signal_name,
    detail => jsonb_strip_nulls(jsonb_build_object('by', by_whom, 'reason', why)));
  if r.claimed_by is null then
    select * into s from workflow.states
    where machine = r.machine and version = r.machine_version and state = r.state;
    if s.kind = 'wait' then
      r := workflow.advance_waits(r, s);
      perform workflow.schedule_next(r, null, false);
    end if;
  end if;
end $$;


ALTER FUNCTION workflow.signal(run_id uuid, signal_name text, payload jsonb, by_whom text, why text) OWNER TO postgres;

--
-- Name: FUNCTION signal(run_id uuid, signal_name text, payload jsonb, by_whom text, why text); Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON FUNCTION workflow.signal(run_id uuid, signal_name text, payload jsonb, by_whom text, why text) IS 'Sends a signal to a run. A run that waits for it continues immediately. Runs in the caller''s transaction.';


--
-- Name: start_run(text, text, jsonb, text, text, uuid, text, uuid); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.start_run(machine_name text, key text, run_input jsonb DEFAULT '{}'::jsonb, by_whom text DEFAULT SESSION_USER, correlation text DEFAULT NULL::text, parent uuid DEFAULT NULL::uuid, close_policy text DEFAULT NULL::text, continues uuid DEFAULT NULL::uuid) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  n timestamptz := workflow.now();
  m workflow.machines;
  s workflow.states;
  r workflow.runs;
begin
  select * into m from workflow.machines where name = machine_name order by version desc limit 1;
  if not found then
    perform workflow.raise_error('DV_MACHINE_UNKNOWN', format('There is no machine "%s". Start a worker once: it stores its machines in the database.', machine_name));
  end if;
  select * into s from workflow.states where machine = m.name and version = m.version and state = m.initial_state;
  loop
    insert into workflow.runs as i (machine, machine_version, workflow_key, state, input, started_by, correlation_id,
      parent_id, parent_close_policy, continued_from, wake_at, deadline, entered_at, created_at, updated_at)
    values (m.name, m.version, key, m.initial_state, run_input, by_whom,
      coalesce(correlation, replace(workflow.uuidv7()::text, '-', '')), parent, close_policy, continues, n, n + s.deadline, n, n, n)
    on conflict (workflow_key) where closed_at is null do nothing
    returning * into r;
    if found then
      perform workflow.log(r, 'CREATED', n, detail => jsonb_build_object('by', by_whom));
      if s.task is not null then
        perform workflow.add_first_jobs(array[r.id], array[s.task]);
      else
        -- A machine may begin in a wait state or a terminal state.
        perform workflow.schedule_next(workflow.advance_waits(r, s), null, false);
      end if;
      return r.id;
    end if;
    select * into r from workflow.runs where workflow_key = key and closed_at is null;
    if found then
      if parent is not null and r.parent_id is distinct from parent then
        perform workflow.await_open(parent, r.id);
      end if;
      return r.id;
    end if;
    -- The open run closed between the two statements. Try again.
  end loop;
end $$;


ALTER FUNCTION workflow.start_run(machine_name text, key text, run_input jsonb, by_whom text, correlation text, parent uuid, close_policy text, continues uuid) OWNER TO postgres;

--
-- Name: FUNCTION start_run(machine_name text, key text, run_input jsonb, by_whom text, correlation text, parent uuid, close_policy text, continues uuid); Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON FUNCTION workflow.start_run(machine_name text, key text, run_input jsonb, by_whom text, correlation text, parent uuid, close_policy text, continues uuid) IS 'Starts a run, or returns the open one with that workflow key. Runs in the caller''s transaction: after a rollback nothing was started.';


--
-- Name: start_runs(jsonb, text); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.start_runs(runs jsonb, by_whom text DEFAULT SESSION_USER) RETURNS TABLE(workflow_key text, run_id uuid)
    LANGUAGE plpgsql SECURITY DEFINER
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_bitmapscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
#variable_conflict use_column
declare
  n timestamptz := workflow.now();
  fresh uuid[];
  tasks text[];
begin
  with created as (
    insert into workflow.runs (machine, machine_version, workflow_key, state, input, started_by, correlation_id,
      wake_at, deadline, entered_at, created_at, updated_at)
    select m.name, m.version, a.key, m.initial_state, coalesce(a.input, '{}'), coalesce(a.by, by_whom),
      replace(workflow.uuidv7()::text, '-', ''), n, n + s.deadline, n, n, n
    from jsonb_to_recordset(runs) as a (machine text, key text, input jsonb, by text)
    cross join lateral (
      select * from workflow.machines where name = a.machine order by version desc limit 1) m
    join workflow.states s on s.machine = m.name and s.version = m.version and s.state = m.initial_state
    where s.task is not null
    -- All callers insert in the same order: two that run simultaneously can wait for each other, but cannot deadlock.
    order by a.key
    on conflict (workflow_key) where closed_at is null do nothing
    returning id, machine, machine_version, state, started_by
  ), written as (
    insert into workflow.history (run_id, version, event, state, attempt, at, detail)
    select c.id, 0, 'CREATED', c.state, 0, n, jsonb_build_object('by', c.started_by) from created c
  )
  select array_agg(c.id), array_agg(s.task) into fresh, tasks from created c
  join workflow.states s on s.machine = c.machine and s.version = c.machine_version and s.state = c.state;
  if fresh is not null then
    perform workflow.add_first_jobs(fresh, tasks);
  end if;
  return query
  select a.key, coalesce(
    (select r.id from workflow.runs r where r.workflow_key = a.key and r.closed_at is null),
    -- A machine that begins in a wait state or a terminal state, or that is unknown.
    workflow.start_run(a.machine, a.key, coalesce(a.input, '{}'), coalesce(a.by, by_whom)))
  from (select distinct on (key) * from jsonb_to_recordset(runs) as a (machine text, key text, input jsonb, by text)
        order by key) a;
end $$;


ALTER FUNCTION workflow.start_runs(runs jsonb, by_whom text) OWNER TO postgres;

--
-- Name: FUNCTION start_runs(runs jsonb, by_whom text); Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON FUNCTION workflow.start_runs(runs jsonb, by_whom text) IS 'Starts runs, [{machine, key, input, by}], or finds the open ones with those workflow keys. Does what workflow.start_run does, for many runs and at a fraction of its cost. Runs in the caller''s transaction.';


--
-- Name: step_of(workflow.runs, workflow.states); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.step_of(r workflow.runs, s workflow.states) RETURNS jsonb
    LANGUAGE sql STABLE
    RETURN jsonb_build_object('id', (r).id, 'machine', (r).machine, 'machineVersion', (r).machine_version, 'workflowKey', (r).workflow_key, 'state', (r).state, 'kind', (s).kind, 'task', (s).task, 'version', (r).version, 'attempt', (r).attempt, 'polls', (r).polls, 'maxAttempts', (s).max_attempts, 'input', (r).input, 'context', (r).context, 'correlationId', (r).correlation_id, 'enteredAt', (r).entered_at, 'deadline', (r).deadline, 'parentId', (r).parent_id, 'error', (r).error, 'failedState', (r).failed_state, 'startToCloseMs', (EXTRACT(epoch FROM (s).start_to_close) * (1000)::numeric));


ALTER FUNCTION workflow.step_of(r workflow.runs, s workflow.states) OWNER TO postgres;

--
-- Name: sweep(); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.sweep() RETURNS TABLE(run_id uuid, what text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET lock_timeout TO '500ms'
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $_$
declare
  graphile text := (select value from workflow.settings where name = 'graphile_worker_schema');
  n timestamptz := workflow.now();
  silent text[];
  living text[];
  r workflow.runs;
begin
  -- One sweeper at a time is enough.
  if not pg_try_advisory_xact_lock(hashtext('dict-vsync sweep')) then
    return;
  end if;

  -- First the workers that have become silent. Then jobs that are locked by no living worker: the worker died before
  -- its first heartbeat, or its row was removed.
  with gone as (
    update workflow.workers set stopped_at = clock_timestamp()
    where stopped_at is null and not workflow.is_alive(id)
    returning graphile_ids)
  select array_agg(g) into silent from gone, unnest(graphile_ids) g;
  select coalesce(array_agg(g), '{}') into living
  from workflow.workers w, unnest(w.graphile_ids) g where workflow.is_alive(w.id);
  execute format(
    'select $1 || coalesce(array_agg(distinct locked_by), ''{}'') from %I.jobs
     where (key ~ ''^(run|children|schedule):''
         or key is null and task_identifier in (select task from workflow.states union all select ''advance_run''))
       and locked_at < clock_timestamp() - workflow.lease() and locked_by <> all ($2)',
    graphile) into silent using coalesce(silent, '{}'), living;
  if cardinality(silent) > 0 then
    execute format('select %I.force_unlock_workers($1)', graphile) using silent;
  end if;

  for r in select * from workflow.runs x
           where x.claimed_by is not null and not workflow.is_alive(x.claimed_by) order by x.id for update skip locked loop
    run_id := r.id;
    begin
      r := workflow.abandon(r);
      perform workflow.schedule_next(r, null, false);
      what := case r.status when 'POISONED' then 'poisoned' else 'abandoned' end;
    exception when others then
      what := 'not repaired';
    end;
    return next;
  end loop;

  -- Nothing would ever advance these runs: they are not waiting, not claimed, and have no time set.
  for r in select * from workflow.runs x
           where x.closed_at is null and x.claimed_by is null and x.wake_at is null
             and (x.status <> 'WAITING' or x.deadline is not null) and x.updated_at < n - interval '5 seconds'
           for update skip locked loop
    run_id := r.id;
    begin
      update workflow.runs x set wake_at = case x.status when 'WAITING' then x.deadline else n end, updated_at = n
      where x.id = r.id returning * into r;
      perform workflow.schedule_next(r, null, false);
      what := 'not scheduled';
    exception when others then
      what := 'not repaired';
    end;
    return next;
  end loop;

  -- What these runs wait for has happened: there is a signal that was not consumed, or their last child has ended.
  for r in select x.* from workflow.runs x
           join workflow.states s on (s.machine, s.version, s.state) = (x.machine, x.machine_version, x.state)
           where x.status = 'WAITING' and x.claimed_by is null
             and (exists (select from workflow.signals g
                          where g.run_id = x.id and g.consumed_at is null and g.name = any (s.signals)
                            and g.sent_at < n - interval '5 seconds')
               or s.awaits_children and x.updated_at < n - interval '5 seconds'
                  and not workflow.has_children_open(x, n - interval '5 seconds'))
           for update of x skip locked loop
    run_id := r.id;
    begin
      perform workflow.schedule_next(workflow.advance_waits(r, (
        select s from workflow.states s
        where (s.machine, s.version, s.state) = (r.machine, r.machine_version, r.state))), null, false);
      what := 'not woken';
    exception when others then
      what := 'not repaired';
    end;
    return next;
  end loop;

  for r in execute format(
    'select r.* from workflow.runs r
     where r.closed_at is null and r.claimed_by is null and r.wake_at < workflow.now() - interval ''5 seconds''
       and not exists (
         select from %I.jobs j
         where j.key = ''run:'' || r.id
           -- A job that Graphile Worker gave up, or postponed after its own failures, does not count. Neither does a
           -- job that has been locked for long without claiming its run: the answer that it was fetched, or that it
           -- ended, was lost. One claim too many does no harm.
           and (j.locked_at > clock_timestamp() - workflow.lease()
             or j.locked_at is null and j.attempts < j.max_attempts and j.run_at <= clock_timestamp()))
     for update of r skip locked', graphile) loop
    run_id := r.id;
    begin
      perform workflow.schedule_next(r, null, false);
      what := 'without job';
    exception when others then
      what := 'not repaired';
    end;
    return next;
  end loop;

  -- Removes timers of runs that have closed, and jobs that were given up and have been replaced. Both are harmless and
  -- useless, so they are not reported.
  execute format(
    'select %1$I.remove_job(j.key) from %1$I.jobs j
     left join workflow.runs r on r.id = split_part(j.key, '':'', 2)::uuid
     where j.key ~ ''^(run|children):'' and j.locked_at is null and (r.id is null or r.closed_at < workflow.now() - interval ''5 seconds'')
     limit 100', graphile);
  execute format(
    'select %1$I.complete_jobs(array(
       select id from %1$I.jobs
       where key is null and locked_at is null and attempts >= max_attempts
         and task_identifier in (select task from workflow.states union all select ''advance_run'') limit 100))', graphile);
  delete from workflow.workers where stopped_at < clock_timestamp() - interval '7 days';
end $_$;


ALTER FUNCTION workflow.sweep() OWNER TO postgres;

--
-- Name: FUNCTION sweep(); Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON FUNCTION workflow.sweep() IS 'Recovery: releases the runs and jobs of workers that have been silent for a lease (10 s), and repairs runs that have no job or timer or that missed their signal. Returns each run that it repaired, or could not repair.';


--
-- Name: take_tick(text, timestamp with time zone[], interval); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.take_tick(schedule_name text, ticks timestamp with time zone[], newest_age interval) RETURNS timestamp with time zone
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  n timestamptz := workflow.now();
  last timestamptz;
  newest timestamptz;
begin
  select last_tick into last from workflow.schedules where name = schedule_name for update;
  select max(t) into newest from unnest(ticks) t where t > last and t <= n;
  if newest is null then
    return null;
  end if;
  insert into workflow.schedule_ticks (schedule, tick, outcome, decided_at)
  select schedule_name, t, case when t = newest and t > n - newest_age then 'FIRED' else 'SKIPPED' end, n
  from unnest(ticks) t where t > last and t <= n
  on conflict do nothing;
  update workflow.schedules set last_tick = newest where name = schedule_name;
  return case when newest > n - newest_age then newest end;
end $$;


ALTER FUNCTION workflow.take_tick(schedule_name text, ticks timestamp with time zone[], newest_age interval) OWNER TO postgres;

--
-- Name: FUNCTION take_tick(schedule_name text, ticks timestamp with time zone[], newest_age interval); Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON FUNCTION workflow.take_tick(schedule_name text, ticks timestamp with time zone[], newest_age interval) IS 'Decides the due ticks of a schedule, once for all workers. Of the ticks after the last decided one, the newest fires if it is younger than the limit; the others are SKIPPED. Returns the tick to fire, or null.';


--
-- Name: tune_jobs(); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.tune_jobs() RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
begin
  execute format('alter table %I._private_jobs set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)',
    (select value from workflow.settings where name = 'graphile_worker_schema'));
  return true;
exception when insufficient_privilege or undefined_table then
  -- The installation of Graphile Worker belongs to another role, whose task it is to tune it.
  return false;
end $$;


ALTER FUNCTION workflow.tune_jobs() OWNER TO postgres;

--
-- Name: FUNCTION tune_jobs(); Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON FUNCTION workflow.tune_jobs() IS 'Makes autovacuum run after every 1000 dead jobs. Returns false if the jobs table belongs to another role. Called by dict-vsync migrate.';


--
-- Name: unlock_jobs(text[]); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.unlock_jobs(graphile_pools text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $_$
begin
  execute format('select %I.force_unlock_workers($1)',
    (select value from workflow.settings where name = 'graphile_worker_schema')) using graphile_pools;
end $_$;


ALTER FUNCTION workflow.unlock_jobs(graphile_pools text[]) OWNER TO postgres;

--
-- Name: FUNCTION unlock_jobs(graphile_pools text[]); Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON FUNCTION workflow.unlock_jobs(graphile_pools text[]) IS 'Unlocks the jobs that these pools of Graphile Worker have locked. Only for pools that are known to have ended.';


--
-- Name: version_task(text, integer); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.version_task(machine text, machine_version integer) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$ select 'machine:' || machine || ':' || machine_version $$;


ALTER FUNCTION workflow.version_task(machine text, machine_version integer) OWNER TO postgres;

--
-- Name: FUNCTION version_task(machine text, machine_version integer); Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON FUNCTION workflow.version_task(machine text, machine_version integer) IS 'The task of a job that only programs with this version of the machine may take.';


--
-- Name: waits_for(uuid, text); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.waits_for(run_id uuid, signal_name text) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
  select exists (
    select from workflow.runs r
    join workflow.states s on (s.machine, s.version, s.state) = (r.machine, r.machine_version, r.state)
    where r.id = run_id and r.status = 'WAITING' and signal_name = any (s.signals))
$$;


ALTER FUNCTION workflow.waits_for(run_id uuid, signal_name text) OWNER TO postgres;

--
-- Name: wake_awaiting(); Type: FUNCTION; Schema: workflow; Owner: postgres
--

CREATE FUNCTION workflow.wake_awaiting() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'workflow', 'dict', 'pg_temp'
    AS $$
declare
  p workflow.runs;
begin
  -- In the same manner as workflow.close_run wakes the parent.
  for p in select * from workflow.runs where id = any (new.awaited_by) and closed_at is null order by id loop
    perform workflow.add_job(p.id, 'advance_run', workflow.now(), 'children:');
  end loop;
  return null;
end $$;


ALTER FUNCTION workflow.wake_awaiting() OWNER TO postgres;

--
-- Name: FUNCTION wake_awaiting(); Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON FUNCTION workflow.wake_awaiting() IS 'A trigger: when a run closes, wakes the runs that wait for it without owning it.';


--
-- Name: cid_history; Type: TABLE; Schema: dict; Owner: postgres
--

CREATE TABLE dict.cid_history (
    participant text NOT NULL,
    key_type text NOT NULL,
    key text NOT NULL,
    cid bytea NOT NULL,
    request_id uuid NOT NULL,
    came_at timestamp with time zone NOT NULL,
    came_xid xid8,
    left_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    left_why text,
    left_xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    id bigint NOT NULL
);


ALTER TABLE dict.cid_history OWNER TO postgres;

--
-- Name: TABLE cid_history; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TABLE dict.cid_history IS 'The folded part of the log of CIDs that were replaced or removed. dict.cid_log reads it together with the part that is not folded yet.';


--
-- Name: cid_history_id_seq; Type: SEQUENCE; Schema: dict; Owner: postgres
--

ALTER TABLE dict.cid_history ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME dict.cid_history_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: cid_changes; Type: TABLE; Schema: dict; Owner: postgres
--

CREATE TABLE dict.cid_changes (
    participant text NOT NULL,
    key_type text NOT NULL,
    key text NOT NULL,
    cid bytea,
    new_cid bytea,
    request_id uuid,
    came_at timestamp with time zone,
    came_xid xid8,
    left_at timestamp with time zone,
    left_why text,
    left_xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    id bigint DEFAULT nextval('dict.cid_history_id_seq'::regclass) NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='2000', autovacuum_vacuum_insert_threshold='-1');


ALTER TABLE dict.cid_changes OWNER TO postgres;

--
-- Name: TABLE cid_changes; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TABLE dict.cid_changes IS 'What statements that changed a single key did: the old CID (null if the key did not exist) and the new CID (null if the key was removed). Writers only append. dict.fold_vsync_deltas folds the rows; until then they are part of dict.vsync_parts and dict.cid_log.';


--
-- Name: cid_files; Type: TABLE; Schema: dict; Owner: postgres
--

CREATE TABLE dict.cid_files (
    id uuid DEFAULT workflow.uuidv7() NOT NULL,
    run_id uuid NOT NULL,
    round integer NOT NULL,
    asked_at timestamp with time zone NOT NULL,
    dict_id text,
    status text,
    bytes bigint,
    sha256 text,
    creation_time timestamp with time zone,
    refused_code text
);


ALTER TABLE dict.cid_files OWNER TO postgres;

--
-- Name: TABLE cid_files; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TABLE dict.cid_files IS 'Each CID file that was requested. The row is the intent, written before the call. DICT gives 40 files a day and accepts no idempotency key, so a crash during the call may cost one more. A file that came too late for its round may be used by a later one.';


--
-- Name: cid_log; Type: VIEW; Schema: dict; Owner: postgres
--

CREATE VIEW dict.cid_log AS
 SELECT cid_history.participant,
    cid_history.key_type,
    cid_history.key,
    cid_history.cid,
    cid_history.request_id,
    cid_history.came_at,
    cid_history.came_xid,
    cid_history.left_at,
    cid_history.left_why,
    cid_history.left_xid,
    cid_history.id
   FROM dict.cid_history
UNION ALL
 SELECT cid_changes.participant,
    cid_changes.key_type,
    cid_changes.key,
    cid_changes.cid,
    cid_changes.request_id,
    cid_changes.came_at,
    cid_changes.came_xid,
    cid_changes.left_at,
    cid_changes.left_why,
    cid_changes.left_xid,
    cid_changes.id
   FROM dict.cid_changes
  WHERE (cid_changes.cid IS NOT NULL);


ALTER TABLE dict.cid_log OWNER TO postgres;

--
-- Name: VIEW cid_log; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON VIEW dict.cid_log IS 'Each CID that left the key base, with its key and when it was added and removed (Manual §9: keep every CID ever generated). See dict.cids.';


--
-- Name: cids; Type: VIEW; Schema: dict; Owner: postgres
--

CREATE VIEW dict.cids AS
 SELECT entries.participant,
    entries.key_type,
    entries.key,
    entries.cid,
    entries.request_id,
    entries.since AS came_at,
    NULL::timestamp with time zone AS left_at,
    NULL::text AS left_why
   FROM dict.entries
  WHERE (entries.removed_at IS NULL)
UNION ALL
 SELECT cid_log.participant,
    cid_log.key_type,
    cid_log.key,
    cid_log.cid,
    cid_log.request_id,
    cid_log.came_at,
    cid_log.left_at,
    cid_log.left_why
   FROM dict.cid_log;


ALTER TABLE dict.cids OWNER TO postgres;

--
-- Name: VIEW cids; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON VIEW dict.cids IS 'Every CID that ever was in the key base, with its key; left_at is null for those present.';


--
-- Name: participants; Type: TABLE; Schema: dict; Owner: postgres
--

CREATE TABLE dict.participants (
    participant text NOT NULL,
    configured_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT participants_participant_check CHECK ((participant ~ '^[0-9]{8}$'::text))
);


ALTER TABLE dict.participants OWNER TO postgres;

--
-- Name: TABLE participants; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TABLE dict.participants IS 'The participants that this installation serves, as PARTICIPANT_ISPB of the worker that started last says.';


--
-- Name: sync_verifications; Type: TABLE; Schema: dict; Owner: postgres
--

CREATE TABLE dict.sync_verifications (
    id uuid DEFAULT workflow.uuidv7() NOT NULL,
    run_id uuid NOT NULL,
    purpose text NOT NULL,
    participant text NOT NULL,
    key_type text NOT NULL,
    vsync text NOT NULL,
    entries bigint NOT NULL,
    asked_at timestamp with time zone NOT NULL,
    snapshot pg_snapshot DEFAULT pg_current_snapshot() NOT NULL,
    answered_at timestamp with time zone,
    result text,
    dict_id text,
    correlation_id text,
    error_code text,
    CONSTRAINT sync_verifications_purpose_check CHECK ((purpose = ANY (ARRAY['VERIFICATION'::text, 'CONFIRMATION'::text]))),
    CONSTRAINT sync_verifications_result_check CHECK ((result = ANY (ARRAY['OK'::text, 'NOK'::text, 'ERROR'::text])))
);


ALTER TABLE dict.sync_verifications OWNER TO postgres;

--
-- Name: TABLE sync_verifications; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TABLE dict.sync_verifications IS 'One row each time a VSync is sent to DICT, written before the call (the intent) and completed with DICT''s answer. The auditor''s proof of synchronism.';


--
-- Name: COLUMN sync_verifications.snapshot; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON COLUMN dict.sync_verifications.snapshot IS 'The snapshot of the statement that read the VSync. An OK proves synchronism in this snapshot, and a replay of the event logs may begin here.';


--
-- Name: warning_alerts; Type: TABLE; Schema: dict; Owner: postgres
--

CREATE TABLE dict.warning_alerts (
    id bigint NOT NULL,
    participant text NOT NULL,
    key_type text NOT NULL,
    code text NOT NULL,
    since timestamp with time zone NOT NULL,
    raised_at timestamp with time zone NOT NULL,
    cleared_at timestamp with time zone
);


ALTER TABLE dict.warning_alerts OWNER TO postgres;

--
-- Name: TABLE warning_alerts; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TABLE dict.warning_alerts IS 'One row each time that a warning began: since when its cause has existed, when it was raised, and when it was cleared.';


--
-- Name: warning_settings; Type: TABLE; Schema: dict; Owner: postgres
--

CREATE TABLE dict.warning_settings (
    one_row boolean DEFAULT true NOT NULL,
    deadline_hours double precision DEFAULT 36 NOT NULL,
    fresh_ok_hours double precision DEFAULT 24 NOT NULL,
    approval_hours double precision DEFAULT 1 NOT NULL,
    alerts boolean DEFAULT false NOT NULL,
    CONSTRAINT warning_settings_approval_hours_check CHECK ((approval_hours > (0)::double precision)),
    CONSTRAINT warning_settings_deadline_hours_check CHECK ((deadline_hours > (0)::double precision)),
    CONSTRAINT warning_settings_fresh_ok_hours_check CHECK ((fresh_ok_hours > (0)::double precision)),
    CONSTRAINT warning_settings_one_row_check CHECK (one_row)
);


ALTER TABLE dict.warning_settings OWNER TO postgres;

--
-- Name: TABLE warning_settings; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TABLE dict.warning_settings IS 'SYNC_DEADLINE_HOURS (Manual de Tempos do Pix: 36 hours between two OKs), WARN_AFTER_HOURS and APPROVAL_WARN_HOURS of the worker that started last, and whether it has an ALERT_URL.';


--
-- Name: deadlines; Type: VIEW; Schema: dict; Owner: postgres
--

CREATE VIEW dict.deadlines AS
 SELECT p.participant,
    t.key_type,
    ok.answered_at AS last_ok_at,
    c.counted_from,
    (c.counted_from + (s.deadline_hours * '01:00:00'::interval)) AS deadline_at,
    ((c.counted_from + (s.deadline_hours * '01:00:00'::interval)) < workflow.now()) AS missed,
    a.raised_at AS alerted_at
   FROM (((((dict.participants p
     CROSS JOIN unnest(dict.key_types()) t(key_type))
     CROSS JOIN dict.warning_settings s)
     LEFT JOIN LATERAL ( SELECT max(s_1.answered_at) AS answered_at
           FROM dict.sync_verifications s_1
          WHERE ((s_1.participant = p.participant) AND (s_1.key_type = t.key_type) AND (s_1.result = 'OK'::text))) ok ON (true))
     CROSS JOIN LATERAL ( SELECT COALESCE(ok.answered_at, p.configured_at) AS counted_from) c)
     LEFT JOIN dict.warning_alerts a ON (((a.participant = p.participant) AND (a.key_type = t.key_type) AND (a.code = 'DEADLINE_MISSED'::text) AND (a.cleared_at IS NULL) AND (a.raised_at >= c.counted_from))));


ALTER TABLE dict.deadlines OWNER TO postgres;

--
-- Name: VIEW deadlines; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON VIEW dict.deadlines IS 'For each configured participant and key type: the time by which the next OK must arrive (counted from the last OK, or from when the participant was configured), whether it was missed, and when the alert was raised.';


--
-- Name: divergences; Type: TABLE; Schema: dict; Owner: postgres
--

CREATE TABLE dict.divergences (
    run_id uuid NOT NULL,
    round integer NOT NULL,
    cid bytea NOT NULL,
    side text NOT NULL,
    key text,
    decision text DEFAULT 'PENDING'::text NOT NULL,
    why text,
    before jsonb,
    after jsonb,
    decided_at timestamp with time zone,
    correlation_id text,
    finding jsonb,
    found_at timestamp with time zone,
    failures integer DEFAULT 0 NOT NULL,
    decided_xid xid8,
    planned text,
    plan text,
    plan_by text,
    plan_why text,
    register_request_id uuid,
    CONSTRAINT divergences_check CHECK ((((plan IS NULL) = (plan_by IS NULL)) AND ((plan IS NULL) = (plan_why IS NULL)))),
    CONSTRAINT divergences_decision_check CHECK ((decision = ANY (ARRAY['PENDING'::text, 'ADDED'::text, 'CORRECTED'::text, 'REMOVED'::text, 'REGISTERED'::text, 'IN_FLIGHT'::text, 'HELD'::text, 'SUPERSEDED'::text, 'REFUSED'::text, 'QUARANTINED'::text, 'UNSURE'::text]))),
    CONSTRAINT divergences_plan_check CHECK ((plan = ANY (ARRAY['REGISTER'::text, 'REMOVE'::text]))),
    CONSTRAINT divergences_planned_check CHECK ((planned = ANY (ARRAY['ADD'::text, 'CORRECT'::text, 'REMOVE'::text, 'REGISTER'::text, 'LEAVE'::text]))),
    CONSTRAINT divergences_side_check CHECK ((side = ANY (ARRAY['DICT_ONLY'::text, 'LOCAL_ONLY'::text])))
);


ALTER TABLE dict.divergences OWNER TO postgres;

--
-- Name: TABLE divergences; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TABLE dict.divergences IS 'One row per CID that only one side has: what was decided, with the entry before and after. A corrected key has two rows, one for each CID.';


--
-- Name: COLUMN divergences.decided_xid; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON COLUMN dict.divergences.decided_xid IS 'The transaction that decided it and changed the key. As long as the entry''s changed_xid is the same, nothing newer has changed the key.';


--
-- Name: COLUMN divergences.planned; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON COLUMN dict.divergences.planned IS 'What the repair will do with it, by DICT''s answers before the set was frozen; the set''s hash covers it. LEAVE: nothing, why says the reason. Null: DICT was not asked before.';


--
-- Name: COLUMN divergences.plan; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON COLUMN dict.divergences.plan IS 'What a person wants done with a key that only we have. REGISTER: it is registered at DICT instead of removed (Manual §3.3). REMOVE: it is removed although it was UNSURE. plan_by and plan_why say who and why.';


--
-- Name: COLUMN divergences.register_request_id; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON COLUMN dict.divergences.register_request_id IS 'The new RequestId with which the key is registered at DICT. Kept before the call, so that after a crash the same request is repeated.';


--
-- Name: feed_queue; Type: TABLE; Schema: dict; Owner: postgres
--

CREATE TABLE dict.feed_queue (
    id bigint NOT NULL,
    source text NOT NULL,
    participant text,
    key_type text,
    key text,
    missed boolean NOT NULL,
    look_again_after xid8
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='2000');


ALTER TABLE dict.feed_queue OWNER TO postgres;

--
-- Name: TABLE feed_queue; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TABLE dict.feed_queue IS 'Keys to read again: those that another transaction had locked while they changed (missed), and those of a source of several tables. A row without a key stands for all keys of the source. Writers only append. Processed by dict.process_feed_queue.';


--
-- Name: COLUMN feed_queue.look_again_after; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON COLUMN dict.feed_queue.look_again_after IS 'Set when the row is first processed. Once every transaction before this id has ended, everything that ran simultaneously with the change is visible.';


--
-- Name: feed_queue_id_seq; Type: SEQUENCE; Schema: dict; Owner: postgres
--

ALTER TABLE dict.feed_queue ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME dict.feed_queue_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: feed_rejects; Type: TABLE; Schema: dict; Owner: postgres
--

CREATE TABLE dict.feed_rejects (
    source text NOT NULL,
    participant text NOT NULL,
    key_type text NOT NULL,
    key text NOT NULL,
    reason text NOT NULL,
    since timestamp with time zone DEFAULT workflow.now() NOT NULL
);


ALTER TABLE dict.feed_rejects OWNER TO postgres;

--
-- Name: TABLE feed_rejects; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TABLE dict.feed_rejects IS 'Keys of a source that cannot be used and are in no VSync. The reason is a code, or the SQLSTATE of the mapping''s error; values are never stored. A row is removed when its key becomes usable. A row with empty participant, key type and key stands for the mapping as a whole.';


--
-- Name: feed_tables; Type: TABLE; Schema: dict; Owner: postgres
--

CREATE TABLE dict.feed_tables (
    source text NOT NULL,
    table_name text NOT NULL,
    keys_function text NOT NULL,
    columns text[]
);


ALTER TABLE dict.feed_tables OWNER TO postgres;

--
-- Name: TABLE feed_tables; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TABLE dict.feed_tables IS 'The tables whose changes feed the key base, by the triggers dict_vsync_<source>_insert, _update, _delete and _truncate.';


--
-- Name: held_keys; Type: TABLE; Schema: dict; Owner: postgres
--

CREATE TABLE dict.held_keys (
    id bigint NOT NULL,
    participant text NOT NULL,
    key_type text NOT NULL,
    key text NOT NULL,
    undo_run_id uuid NOT NULL,
    by_whom text NOT NULL,
    reason text,
    held_at timestamp with time zone NOT NULL,
    released_at timestamp with time zone,
    released_by text,
    CONSTRAINT held_keys_check CHECK (((released_at IS NULL) = (released_by IS NULL)))
);


ALTER TABLE dict.held_keys OWNER TO postgres;

--
-- Name: TABLE held_keys; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TABLE dict.held_keys IS 'Keys that an undo put back. No reconciliation touches them until a person releases them (released_at).';


--
-- Name: held_keys_id_seq; Type: SEQUENCE; Schema: dict; Owner: postgres
--

ALTER TABLE dict.held_keys ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME dict.held_keys_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: key_changes; Type: VIEW; Schema: dict; Owner: postgres
--

CREATE VIEW dict.key_changes AS
 SELECT divergences.run_id,
    divergences.round,
    divergences.key,
    divergences.decision,
    max(encode(divergences.cid, 'hex'::text)) FILTER (WHERE (divergences.side = 'LOCAL_ONLY'::text)) AS local_cid,
    max(encode(divergences.cid, 'hex'::text)) FILTER (WHERE (divergences.side = 'DICT_ONLY'::text)) AS dict_cid,
    (array_agg(divergences.before ORDER BY divergences.side))[1] AS before,
    (array_agg(divergences.after ORDER BY divergences.side))[1] AS after,
    max(divergences.plan_by) AS plan_by,
    max(divergences.plan_why) AS plan_why,
    max(divergences.decided_at) AS decided_at
   FROM dict.divergences
  WHERE (divergences.decision = ANY (ARRAY['ADDED'::text, 'CORRECTED'::text, 'REMOVED'::text, 'REGISTERED'::text]))
  GROUP BY divergences.run_id, divergences.round, divergences.key, divergences.decision;


ALTER TABLE dict.key_changes OWNER TO postgres;

--
-- Name: VIEW key_changes; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON VIEW dict.key_changes IS 'What reconciliations changed, one row for each key. Both CIDs of a corrected key are one change: local_cid before and dict_cid after it.';


--
-- Name: key_event_order; Type: TABLE; Schema: dict; Owner: postgres
--

CREATE TABLE dict.key_event_order (
    participant text NOT NULL,
    key_type text NOT NULL,
    key text NOT NULL,
    event_time timestamp with time zone NOT NULL,
    sequence text,
    source text NOT NULL,
    id text NOT NULL
);


ALTER TABLE dict.key_event_order OWNER TO postgres;

--
-- Name: TABLE key_event_order; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TABLE dict.key_event_order IS 'The newest event of each key. It shows that an event is older, however late the event is received. Two workers with events of the same key also wait for each other by locking its row.';


--
-- Name: key_events; Type: TABLE; Schema: dict; Owner: postgres
--

CREATE TABLE dict.key_events (
    source text NOT NULL,
    id text NOT NULL,
    type text NOT NULL,
    participant text NOT NULL,
    key_type text NOT NULL,
    key text NOT NULL,
    event_time timestamp with time zone,
    outcome text NOT NULL,
    reason text,
    received_at timestamp with time zone NOT NULL,
    CONSTRAINT key_events_check CHECK (((reason IS NOT NULL) = (outcome = 'REFUSED'::text))),
    CONSTRAINT key_events_outcome_check CHECK ((outcome = ANY (ARRAY['APPLIED'::text, 'OLDER'::text, 'REFUSED'::text])))
);


ALTER TABLE dict.key_events OWNER TO postgres;

--
-- Name: TABLE key_events; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TABLE dict.key_events IS 'The key events received, by CloudEvents source and id, so that each counts once: APPLIED, OLDER than the newest event applied to its key, or REFUSED with a reason in codes, never values. Removed by retention (KEY_EVENTS_RETENTION_DAYS).';


--
-- Name: key_event_rejects; Type: VIEW; Schema: dict; Owner: postgres
--

CREATE VIEW dict.key_event_rejects AS
 SELECT k.source,
    k.id,
    k.type,
    k.participant,
    k.key_type,
    k.key,
    k.reason,
    k.event_time,
    k.received_at
   FROM dict.key_events k
  WHERE ((k.outcome = 'REFUSED'::text) AND (NOT (EXISTS ( SELECT
           FROM dict.key_event_order o
          WHERE (((o.participant = k.participant) AND (o.key_type = k.key_type) AND (o.key = k.key)) AND (o.event_time >= COALESCE(k.event_time, k.received_at)))))) AND (NOT (EXISTS ( SELECT
           FROM dict.sync_verifications s
          WHERE ((s.participant = k.participant) AND (s.key_type = k.key_type) AND (s.result = 'OK'::text) AND (s.asked_at > k.received_at))))));


ALTER TABLE dict.key_event_rejects OWNER TO postgres;

--
-- Name: VIEW key_event_rejects; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON VIEW dict.key_event_rejects IS 'Key events that could not be used and still matter: no newer event of the key was applied, and DICT has not said OK since.';


--
-- Name: vsync_buckets; Type: TABLE; Schema: dict; Owner: postgres
--

CREATE TABLE dict.vsync_buckets (
    participant text NOT NULL,
    key_type text NOT NULL,
    bucket smallint NOT NULL,
    count bigint DEFAULT 0 NOT NULL,
    xor bit(256) DEFAULT (repeat('0'::text, 256))::bit(256) NOT NULL
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.05', autovacuum_vacuum_threshold='1000');


ALTER TABLE dict.vsync_buckets OWNER TO postgres;

--
-- Name: TABLE vsync_buckets; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TABLE dict.vsync_buckets IS 'Count and XOR of the CIDs by their first 12 bits. A VSync is the XOR of these rows, dict.vsync_deltas and dict.cid_changes, read in one snapshot.';


--
-- Name: vsync_deltas; Type: TABLE; Schema: dict; Owner: postgres
--

CREATE TABLE dict.vsync_deltas (
    participant text NOT NULL,
    key_type text NOT NULL,
    bucket smallint NOT NULL,
    count_change bigint NOT NULL,
    xor bit(256) NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='2000', autovacuum_vacuum_insert_threshold='-1');


ALTER TABLE dict.vsync_deltas OWNER TO postgres;

--
-- Name: TABLE vsync_deltas; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TABLE dict.vsync_deltas IS 'What statements changed in the VSyncs, one row per changed bucket. Writers only append, so they never wait for each other and never deadlock. Folded by dict.fold_vsync_deltas.';


--
-- Name: known_participants; Type: VIEW; Schema: dict; Owner: postgres
--

CREATE VIEW dict.known_participants AS
 WITH RECURSIVE with_keys(participant) AS (
         SELECT min(vsync_buckets.participant) AS min
           FROM dict.vsync_buckets
        UNION ALL
         SELECT ( SELECT min(b.participant) AS min
                   FROM dict.vsync_buckets b
                  WHERE (b.participant > w.participant)) AS min
           FROM with_keys w
          WHERE (w.participant IS NOT NULL)
        )
 SELECT participants.participant
   FROM dict.participants
UNION
 SELECT with_keys.participant
   FROM with_keys
  WHERE (with_keys.participant IS NOT NULL)
UNION
 SELECT vsync_deltas.participant
   FROM dict.vsync_deltas
UNION
 SELECT cid_changes.participant
   FROM dict.cid_changes;


ALTER TABLE dict.known_participants OWNER TO postgres;

--
-- Name: VIEW known_participants; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON VIEW dict.known_participants IS 'The configured participants, and those that ever had keys in the key base.';


--
-- Name: notifications; Type: TABLE; Schema: dict; Owner: postgres
--

CREATE TABLE dict.notifications (
    id uuid NOT NULL,
    participant text NOT NULL,
    key_type text NOT NULL,
    sequence bigint NOT NULL,
    type text NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    delivered_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


ALTER TABLE dict.notifications OWNER TO postgres;

--
-- Name: TABLE notifications; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TABLE dict.notifications IS 'The messages that Core-Dict reads with the default transport: one row per message, in the order of sequence per participant and key type. The payload is a CloudEvent (docs/guides/core-dict.md). Each message is announced on the channel dict_vsync by NOTIFY with its id, participant, key type, sequence and type.';


--
-- Name: outbox; Type: TABLE; Schema: dict; Owner: postgres
--

CREATE TABLE dict.outbox (
    id uuid DEFAULT workflow.uuidv7() NOT NULL,
    destination text DEFAULT 'CORE_DICT'::text NOT NULL,
    participant text NOT NULL,
    key_type text NOT NULL,
    sequence bigint NOT NULL,
    type text NOT NULL,
    payload jsonb NOT NULL,
    run_id uuid,
    created_at timestamp with time zone NOT NULL,
    delivered_at timestamp with time zone,
    attempts integer DEFAULT 0 NOT NULL,
    last_error text,
    correlation_id text,
    refusals integer DEFAULT 0 NOT NULL,
    dead_at timestamp with time zone,
    CONSTRAINT outbox_destination_check CHECK ((destination = ANY (ARRAY['CORE_DICT'::text, 'ALERT'::text])))
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='500');


ALTER TABLE dict.outbox OWNER TO postgres;

--
-- Name: TABLE outbox; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TABLE dict.outbox IS 'Messages, written in the transaction that caused them. The id never changes. The sequence counts per destination, participant and key type ("ALL" for a summary of several key types).';


--
-- Name: COLUMN outbox.destination; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON COLUMN dict.outbox.destination IS 'CORE_DICT: Core-Dict, by NOTIFY_URL. ALERT: a person, by ALERT_URL.';


--
-- Name: COLUMN outbox.dead_at; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON COLUMN dict.outbox.dead_at IS 'Since when the message is dead: the transport refused it for good, several times. Its stream continues without it. dict.retry_outbox sends it again.';


--
-- Name: outbox_backoffs; Type: TABLE; Schema: dict; Owner: postgres
--

CREATE TABLE dict.outbox_backoffs (
    destination text DEFAULT 'CORE_DICT'::text NOT NULL,
    participant text NOT NULL,
    key_type text NOT NULL,
    failures integer NOT NULL,
    since timestamp with time zone NOT NULL,
    retry_at timestamp with time zone NOT NULL,
    error_code text NOT NULL,
    CONSTRAINT outbox_backoffs_destination_check CHECK ((destination = ANY (ARRAY['CORE_DICT'::text, 'ALERT'::text])))
);


ALTER TABLE dict.outbox_backoffs OWNER TO postgres;

--
-- Name: TABLE outbox_backoffs; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TABLE dict.outbox_backoffs IS 'The streams whose last delivery failed, until one succeeds: how often in a row, since when, and when it is retried.';


--
-- Name: outbox_messages; Type: VIEW; Schema: dict; Owner: postgres
--

CREATE VIEW dict.outbox_messages AS
 SELECT o.id,
    o.destination,
    o.participant,
    o.key_type,
    o.sequence,
    o.type,
    o.run_id,
    o.created_at,
        CASE
            WHEN (o.dead_at IS NULL) THEN 'WAITING'::text
            ELSE 'DEAD'::text
        END AS state,
    o.attempts,
    COALESCE(o.last_error, b.error_code) AS error_code,
    o.dead_at,
        CASE
            WHEN (o.dead_at IS NULL) THEN b.retry_at
            ELSE NULL::timestamp with time zone
        END AS retry_at
   FROM (dict.outbox o
     LEFT JOIN dict.outbox_backoffs b USING (destination, participant, key_type))
  WHERE (o.delivered_at IS NULL);


ALTER TABLE dict.outbox_messages OWNER TO postgres;

--
-- Name: VIEW outbox_messages; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON VIEW dict.outbox_messages IS 'The undelivered messages to Core-Dict, and the alerts to a person (destination ALERT), without their content. WAITING: will be delivered, but not before retry_at if delivery failed. DEAD: refused by the transport; dict.retry_outbox sends it again.';


--
-- Name: outbox_sequences; Type: TABLE; Schema: dict; Owner: postgres
--

CREATE TABLE dict.outbox_sequences (
    destination text DEFAULT 'CORE_DICT'::text NOT NULL,
    participant text NOT NULL,
    key_type text NOT NULL,
    last bigint NOT NULL,
    CONSTRAINT outbox_sequences_destination_check CHECK ((destination = ANY (ARRAY['CORE_DICT'::text, 'ALERT'::text])))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='500');


ALTER TABLE dict.outbox_sequences OWNER TO postgres;

--
-- Name: TABLE outbox_sequences; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TABLE dict.outbox_sequences IS 'The last sequence number used in each stream.';


--
-- Name: outbox_streams; Type: VIEW; Schema: dict; Owner: postgres
--

CREATE VIEW dict.outbox_streams AS
 SELECT s.destination,
    s.participant,
    s.key_type,
    s.last AS last_sequence,
    (w.id IS NOT NULL) AS waiting,
    w.created_at AS oldest_waiting_at,
    COALESCE(d.dead, (0)::bigint) AS dead,
    b.failures,
    b.since AS failing_since,
    b.retry_at,
    b.error_code
   FROM (((dict.outbox_sequences s
     LEFT JOIN LATERAL ( SELECT o.id,
            o.created_at
           FROM dict.outbox o
          WHERE (((o.destination = s.destination) AND (o.participant = s.participant) AND (o.key_type = s.key_type)) AND (o.delivered_at IS NULL) AND (o.dead_at IS NULL))
          ORDER BY o.sequence
         LIMIT 1) w ON (true))
     LEFT JOIN LATERAL ( SELECT count(*) AS dead
           FROM dict.outbox o
          WHERE (((o.destination = s.destination) AND (o.participant = s.participant) AND (o.key_type = s.key_type)) AND (o.dead_at IS NOT NULL))) d ON (true))
     LEFT JOIN dict.outbox_backoffs b ON (((b.destination = s.destination) AND (b.participant = s.participant) AND (b.key_type = s.key_type))));


ALTER TABLE dict.outbox_streams OWNER TO postgres;

--
-- Name: VIEW outbox_streams; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON VIEW dict.outbox_streams IS 'The streams of messages, one for each destination (CORE_DICT, ALERT), participant and key type: whether a message waits and since when, how many messages are dead, how often delivery failed in a row and when it is retried.';


--
-- Name: reconciliations; Type: TABLE; Schema: dict; Owner: postgres
--

CREATE TABLE dict.reconciliations (
    run_id uuid NOT NULL,
    participant text NOT NULL,
    key_type text NOT NULL,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    outcome text,
    reason text,
    rounds integer DEFAULT 0 NOT NULL,
    vsync_before text NOT NULL,
    entries_before bigint NOT NULL,
    vsync_after text,
    entries_after bigint,
    dict_only_cids bigint DEFAULT 0 NOT NULL,
    local_only_cids bigint DEFAULT 0 NOT NULL,
    keys_added bigint DEFAULT 0 NOT NULL,
    keys_corrected bigint DEFAULT 0 NOT NULL,
    keys_removed bigint DEFAULT 0 NOT NULL,
    keys_in_flight bigint DEFAULT 0 NOT NULL,
    quarantined bigint DEFAULT 0 NOT NULL,
    approved_by text,
    approved_why text,
    approved_set text,
    keys_registered bigint DEFAULT 0 NOT NULL,
    keys_held bigint DEFAULT 0 NOT NULL,
    keys_unsure bigint DEFAULT 0 NOT NULL,
    pages_published integer DEFAULT 0 NOT NULL,
    changes_published bigint DEFAULT 0 NOT NULL
);


ALTER TABLE dict.reconciliations OWNER TO postgres;

--
-- Name: TABLE reconciliations; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TABLE dict.reconciliations IS 'One row per reconciliation: what it found and what it did, for auditors.';


--
-- Name: COLUMN reconciliations.keys_held; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON COLUMN dict.reconciliations.keys_held IS 'The number of held keys that its last round left alone.';


--
-- Name: COLUMN reconciliations.keys_unsure; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON COLUMN dict.reconciliations.keys_unsure IS 'The number of local keys that its last round left alone for a person to decide, because nothing proves that DICT does not have them.';


--
-- Name: retry_policy; Type: TABLE; Schema: dict; Owner: postgres
--

CREATE TABLE dict.retry_policy (
    one_row boolean DEFAULT true NOT NULL,
    minutes double precision[] DEFAULT '{}'::double precision[] NOT NULL,
    passing_codes text[] DEFAULT '{}'::text[] NOT NULL,
    CONSTRAINT retry_policy_minutes_check CHECK (((0)::double precision < ALL (minutes))),
    CONSTRAINT retry_policy_one_row_check CHECK (one_row)
);


ALTER TABLE dict.retry_policy OWNER TO postgres;

--
-- Name: TABLE retry_policy; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TABLE dict.retry_policy IS 'When the automatic retries begin: RETRY_MINUTES of the worker that started last; empty: never. passing_codes: the errors of class not_retryable after which a new reconciliation may succeed without anybody''s help.';


--
-- Name: verifications; Type: TABLE; Schema: dict; Owner: postgres
--

CREATE TABLE dict.verifications (
    run_id uuid NOT NULL,
    participant text NOT NULL,
    key_types text[] NOT NULL,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    outcome text NOT NULL,
    results jsonb NOT NULL,
    CONSTRAINT verifications_outcome_check CHECK ((outcome = ANY (ARRAY['IN_SYNC'::text, 'OUT_OF_SYNC'::text, 'INCOMPLETE'::text])))
);


ALTER TABLE dict.verifications OWNER TO postgres;

--
-- Name: TABLE verifications; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TABLE dict.verifications IS 'One row per verification: for each key type OK, NOK or ERROR, with the VSync sent. INCOMPLETE: a key type could not be verified.';


--
-- Name: schedule_ticks; Type: TABLE; Schema: workflow; Owner: postgres
--

CREATE TABLE workflow.schedule_ticks (
    schedule text NOT NULL,
    tick timestamp with time zone NOT NULL,
    outcome text NOT NULL,
    decided_at timestamp with time zone NOT NULL,
    CONSTRAINT schedule_ticks_outcome_check CHECK ((outcome = ANY (ARRAY['FIRED'::text, 'SKIPPED'::text])))
);


ALTER TABLE workflow.schedule_ticks OWNER TO postgres;

--
-- Name: TABLE schedule_ticks; Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON TABLE workflow.schedule_ticks IS 'What was decided about each tick: FIRED, or SKIPPED because a newer tick was due or the tick was too old.';


--
-- Name: retries; Type: VIEW; Schema: dict; Owner: postgres
--

CREATE VIEW dict.retries AS
 SELECT p.participant,
    t.key_type,
    n.retry,
    x.reason,
    x.after_reconciliation,
    GREATEST((a.began_at + (policy.minutes[LEAST(n.retry, cardinality(policy.minutes))] * '00:01:00'::interval)), (a.ended_at + (policy.minutes[1] * '00:01:00'::interval))) AS due_at
   FROM (((((((((dict.retry_policy policy
     CROSS JOIN dict.participants p)
     CROSS JOIN unnest(dict.key_types()) t(key_type))
     LEFT JOIN LATERAL ( SELECT k.tick,
            k.decided_at
           FROM workflow.schedule_ticks k
          WHERE (k.decided_at >= p.configured_at)
          ORDER BY k.tick DESC
         LIMIT 1) tick ON (true))
     LEFT JOIN LATERAL ( SELECT o.started_at,
            o.ended_at,
            ((o.results -> t.key_type) ->> 'result'::text) AS result,
            ((o.results -> t.key_type) ->> 'code'::text) AS code,
            (w.status = ANY (ARRAY['CANCELLED'::text, 'TERMINATED'::text])) AS stopped
           FROM (dict.verifications o
             LEFT JOIN workflow.runs w ON ((w.id = o.run_id)))
          WHERE ((o.participant = p.participant) AND (t.key_type = ANY (o.key_types)))
          ORDER BY o.started_at DESC
         LIMIT 1) v ON (true))
     LEFT JOIN LATERAL ( SELECT w.status,
            w.created_at,
            w.closed_at,
            COALESCE((w.error ->> 'code'::text), 'DV_UNEXPECTED'::text) AS code,
            (w.error ->> 'class'::text) AS class
           FROM workflow.runs w
          WHERE (w.workflow_key = dict.reconciliation_key(p.participant, t.key_type))
          ORDER BY w.id DESC
         LIMIT 1) r ON (true))
     LEFT JOIN LATERAL ( SELECT max(s.answered_at) AS at
           FROM dict.sync_verifications s
          WHERE ((s.participant = p.participant) AND (s.key_type = t.key_type) AND (s.result = 'OK'::text))) ok ON (true))
     CROSS JOIN LATERAL ( SELECT GREATEST(v.started_at,
                CASE
                    WHEN (r.created_at <= v.ended_at) THEN NULL::timestamp with time zone
                    ELSE r.created_at
                END, tick.tick) AS began_at,
            GREATEST(v.ended_at, r.closed_at, tick.decided_at) AS ended_at,
            COALESCE(tick.tick, '-infinity'::timestamp with time zone) AS last_tick,
            COALESCE((r.closed_at > GREATEST(v.started_at, tick.tick, '-infinity'::timestamp with time zone)), false) AS in_reconciliation) a)
     CROSS JOIN LATERAL ( SELECT (GREATEST(count(*), (1)::bigint))::integer AS retry
           FROM ( SELECT
                   FROM dict.verifications o_1
                  WHERE ((o_1.participant = p.participant) AND (t.key_type = ANY (o_1.key_types)) AND (o_1.started_at > COALESCE(ok.at, '-infinity'::timestamp with time zone)) AND (o_1.started_at >= COALESCE(tick.tick, '-infinity'::timestamp with time zone)))
                 LIMIT 10000) o) n)
     CROSS JOIN LATERAL ( SELECT COALESCE(((r.status = 'FAILED'::text) AND (r.closed_at > GREATEST(ok.at, tick.tick, '-infinity'::timestamp with time zone))), false) AS after_reconciliation,
                CASE
                    WHEN a.in_reconciliation THEN format('The reconciliation of %s that began at %s failed: %s.'::text, t.key_type, dict.message_time(r.created_at), r.code)
                    WHEN (COALESCE(v.ended_at, '-infinity'::timestamp with time zone) <= a.last_tick) THEN format('No verification followed the tick of %s.'::text, dict.message_time(tick.tick))
                    WHEN (v.result = 'NOK'::text) THEN format('The verification that began at %s found NOK and started no reconciliation.'::text, dict.message_time(v.started_at))
                    ELSE format('The verification that began at %s got no answer: %s.'::text, dict.message_time(v.started_at), COALESCE(v.code, 'DV_UNEXPECTED'::text))
                END AS reason) x)
  WHERE ((cardinality(policy.minutes) > 0) AND (a.began_at > COALESCE(ok.at, '-infinity'::timestamp with time zone)) AND (NOT (EXISTS ( SELECT
           FROM workflow.runs w
          WHERE ((w.workflow_key = dict.reconciliation_key(p.participant, t.key_type)) AND (w.closed_at IS NULL))))) AND (NOT (EXISTS ( SELECT
           FROM workflow.runs w
          WHERE ((w.machine = 'verification'::text) AND (w.closed_at IS NULL) AND ((w.input ->> 'participant'::text) = p.participant) AND ((w.input -> 'keyTypes'::text) ? t.key_type))))) AND (NOT COALESCE(((r.status = ANY (ARRAY['REJECTED'::text, 'CANCELLED'::text, 'TERMINATED'::text])) AND (r.closed_at > COALESCE(tick.tick, v.started_at, '-infinity'::timestamp with time zone))), false)) AND (NOT COALESCE((v.stopped AND (v.ended_at > a.last_tick)), false)) AND (NOT COALESCE(((v.code = 'DV_STEP_POISONED'::text) AND (v.ended_at > a.last_tick)), false)) AND ((NOT a.in_reconciliation) OR COALESCE(((r.status = 'FAILED'::text) AND ((r.class = ANY (ARRAY['retryable'::text, 'rate_limited'::text])) OR (r.code = ANY (policy.passing_codes)))), false)));


ALTER TABLE dict.retries OWNER TO postgres;

--
-- Name: VIEW retries; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON VIEW dict.retries IS 'The automatic retries to come (RETRY_MINUTES): each configured participant and key type whose last attempt ended without an OK for a reason that may pass. retry counts them since the last OK or the last tick, reason says what happened, due_at says when the next one begins. after_reconciliation: a reconciliation has failed since then, so the retry spares CID files.';


--
-- Name: sync_status; Type: VIEW; Schema: dict; Owner: postgres
--

CREATE VIEW dict.sync_status AS
 SELECT p.participant,
    t.key_type,
    l.result AS last_result,
    l.answered_at AS last_answered_at,
    ok.answered_at AS last_ok_at,
    (workflow.now() - ok.answered_at) AS age_of_last_ok,
    r.run_id AS open_reconciliation,
    dict.incomplete(p.participant, t.key_type) AS incomplete,
    d.deadline_at,
    COALESCE(d.missed, false) AS deadline_missed,
    d.alerted_at AS deadline_alerted_at,
    COALESCE(h.held_keys, (0)::bigint) AS held_keys,
    h.held_since
   FROM ((((((dict.known_participants p
     CROSS JOIN unnest(dict.key_types()) t(key_type))
     LEFT JOIN LATERAL ( SELECT s.result,
            s.answered_at
           FROM dict.sync_verifications s
          WHERE ((s.participant = p.participant) AND (s.key_type = t.key_type) AND (s.answered_at IS NOT NULL))
          ORDER BY s.asked_at DESC
         LIMIT 1) l ON (true))
     LEFT JOIN LATERAL ( SELECT s.answered_at
           FROM dict.sync_verifications s
          WHERE ((s.participant = p.participant) AND (s.key_type = t.key_type) AND (s.result = 'OK'::text))
          ORDER BY s.asked_at DESC
         LIMIT 1) ok ON (true))
     LEFT JOIN LATERAL ( SELECT w.id AS run_id
           FROM workflow.runs w
          WHERE ((w.workflow_key = dict.reconciliation_key(p.participant, t.key_type)) AND (w.closed_at IS NULL))) r ON (true))
     LEFT JOIN ( SELECT k.participant,
            k.key_type,
            count(*) AS held_keys,
            min(k.held_at) AS held_since
           FROM dict.held_keys k
          WHERE (k.released_at IS NULL)
          GROUP BY k.participant, k.key_type) h ON (((h.participant = p.participant) AND (h.key_type = t.key_type))))
     LEFT JOIN dict.deadlines d ON (((d.participant = p.participant) AND (d.key_type = t.key_type))));


ALTER TABLE dict.sync_status OWNER TO postgres;

--
-- Name: VIEW sync_status; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON VIEW dict.sync_status IS 'For each participant and key type: DICT''s last answer, the last OK and its age, the open reconciliation, and how many keys are held since when. For configured participants also the deadline of the next OK (the regulator allows 36 hours) and whether it was missed.';


--
-- Name: undone; Type: TABLE; Schema: dict; Owner: postgres
--

CREATE TABLE dict.undone (
    undo_run_id uuid NOT NULL,
    run_id uuid NOT NULL,
    participant text NOT NULL,
    key_type text NOT NULL,
    key text NOT NULL,
    decision text NOT NULL,
    result text NOT NULL,
    why text,
    before jsonb,
    after jsonb,
    at timestamp with time zone NOT NULL,
    CONSTRAINT undone_decision_check CHECK ((decision = ANY (ARRAY['ADDED'::text, 'CORRECTED'::text, 'REMOVED'::text]))),
    CONSTRAINT undone_result_check CHECK ((result = ANY (ARRAY['UNDONE'::text, 'NEWER'::text])))
);


ALTER TABLE dict.undone OWNER TO postgres;

--
-- Name: TABLE undone; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TABLE dict.undone IS 'One row per key that an undo processed: the decision that it undid, and the entry before and after. NEWER: the key was left alone, because something newer has changed it.';


--
-- Name: undos; Type: TABLE; Schema: dict; Owner: postgres
--

CREATE TABLE dict.undos (
    undo_run_id uuid NOT NULL,
    run_id uuid NOT NULL,
    participant text NOT NULL,
    key_type text NOT NULL,
    by_whom text NOT NULL,
    reason text,
    asked_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    keys_undone bigint DEFAULT 0 NOT NULL,
    keys_left bigint DEFAULT 0 NOT NULL,
    pages_published integer DEFAULT 0 NOT NULL,
    changes_published bigint DEFAULT 0 NOT NULL,
    outcome text,
    CONSTRAINT undos_outcome_check CHECK ((outcome = ANY (ARRAY['COMPLETED'::text, 'FAILED'::text, 'POISONED'::text, 'CANCELLED'::text, 'TERMINATED'::text])))
);


ALTER TABLE dict.undos OWNER TO postgres;

--
-- Name: TABLE undos; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TABLE dict.undos IS 'One row per undo: the reconciliation that it undoes, who asked for it, how many keys it put back and how many it left alone.';


--
-- Name: COLUMN undos.outcome; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON COLUMN dict.undos.outcome IS 'How its run ended; null while it is open. If it is not COMPLETED, some keys may not have been processed; start another undo for them.';


--
-- Name: unsure_keys; Type: VIEW; Schema: dict; Owner: postgres
--

CREATE VIEW dict.unsure_keys AS
 SELECT n.participant,
    n.key_type,
    d.key,
    d.cid,
    d.run_id,
    d.why,
    d.decided_at AS since,
    d.plan_by AS decided_by,
    d.plan_why AS decided_why
   FROM (dict.divergences d
     JOIN dict.reconciliations n USING (run_id))
  WHERE ((d.decision = 'UNSURE'::text) AND (d.round = n.rounds) AND (n.ended_at IS NOT NULL) AND (NOT (EXISTS ( SELECT
           FROM dict.reconciliations later
          WHERE ((later.participant = n.participant) AND (later.key_type = n.key_type) AND (later.started_at > n.started_at) AND (later.ended_at IS NOT NULL) AND (later.rounds > 0))))));


ALTER TABLE dict.unsure_keys OWNER TO postgres;

--
-- Name: VIEW unsure_keys; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON VIEW dict.unsure_keys IS 'The local keys that the last reconciliation of their participant and key type left for a person to decide: why, and who has decided (dict.remove_unsure) that they are to be removed.';


--
-- Name: vsync_parts; Type: VIEW; Schema: dict; Owner: postgres
--

CREATE VIEW dict.vsync_parts AS
 SELECT vsync_buckets.participant,
    vsync_buckets.key_type,
    vsync_buckets.bucket,
    vsync_buckets.count,
    vsync_buckets.xor
   FROM dict.vsync_buckets
UNION ALL
 SELECT vsync_deltas.participant,
    vsync_deltas.key_type,
    vsync_deltas.bucket,
    vsync_deltas.count_change AS count,
    vsync_deltas.xor
   FROM dict.vsync_deltas
UNION ALL
 SELECT cid_changes.participant,
    cid_changes.key_type,
    dict.bucket(cid_changes.cid) AS bucket,
    '-1'::integer AS count,
    (dict.bits(cid_changes.cid))::bit(256) AS xor
   FROM dict.cid_changes
  WHERE (cid_changes.cid IS NOT NULL)
UNION ALL
 SELECT cid_changes.participant,
    cid_changes.key_type,
    dict.bucket(cid_changes.new_cid) AS bucket,
    1 AS count,
    (dict.bits(cid_changes.new_cid))::bit(256) AS xor
   FROM dict.cid_changes
  WHERE (cid_changes.new_cid IS NOT NULL);


ALTER TABLE dict.vsync_parts OWNER TO postgres;

--
-- Name: VIEW vsync_parts; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON VIEW dict.vsync_parts IS 'The buckets, and the deltas and changes that are not folded yet. One statement on this view sees one snapshot of them all.';


--
-- Name: vsync_scans; Type: TABLE; Schema: dict; Owner: postgres
--

CREATE TABLE dict.vsync_scans (
    participant text NOT NULL,
    key_type text NOT NULL,
    scanned_at timestamp with time zone NOT NULL,
    entries bigint NOT NULL,
    repaired_buckets integer NOT NULL
);


ALTER TABLE dict.vsync_scans OWNER TO postgres;

--
-- Name: TABLE vsync_scans; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON TABLE dict.vsync_scans IS 'The last full recomputation of each VSync from its entries. repaired_buckets > 0: the stored VSync was wrong (because of a disabled trigger, a restore or logical replication).';


--
-- Name: vsyncs; Type: VIEW; Schema: dict; Owner: postgres
--

CREATE VIEW dict.vsyncs AS
 SELECT p.participant,
    t.key_type,
    v.entries,
    v.vsync,
    s.scanned_at,
    s.repaired_buckets,
    dict.incomplete(p.participant, t.key_type) AS incomplete
   FROM (((dict.known_participants p
     CROSS JOIN unnest(dict.key_types()) t(key_type))
     CROSS JOIN LATERAL dict.vsync(p.participant, t.key_type) v(entries, vsync))
     LEFT JOIN dict.vsync_scans s ON (((s.participant = p.participant) AND (s.key_type = t.key_type))));


ALTER TABLE dict.vsyncs OWNER TO postgres;

--
-- Name: VIEW vsyncs; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON VIEW dict.vsyncs IS 'The five VSyncs of each participant, the number of entries, the last full scan, and whether keys of a connected table are missing.';


--
-- Name: warning_alerts_id_seq; Type: SEQUENCE; Schema: dict; Owner: postgres
--

ALTER TABLE dict.warning_alerts ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME dict.warning_alerts_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: warnings; Type: VIEW; Schema: dict; Owner: postgres
--

CREATE VIEW dict.warnings AS
 WITH watched AS MATERIALIZED (
         SELECT d_1.participant,
            d_1.key_type,
            d_1.last_ok_at,
            d_1.counted_from,
            d_1.deadline_at,
            d_1.missed,
            s.fresh_ok_hours,
            s.approval_hours
           FROM (dict.deadlines d_1
             CROSS JOIN dict.warning_settings s)
        ), reconciled AS MATERIALIZED (
         SELECT w.participant,
            w.key_type,
            w.last_ok_at,
            r.run_id,
            r.started_at,
            r.outcome,
            r.reason,
            r.quarantined,
            r.keys_unsure
           FROM (watched w
             CROSS JOIN LATERAL ( SELECT r_1.run_id,
                    r_1.participant,
                    r_1.key_type,
                    r_1.started_at,
                    r_1.ended_at,
                    r_1.outcome,
                    r_1.reason,
                    r_1.rounds,
                    r_1.vsync_before,
                    r_1.entries_before,
                    r_1.vsync_after,
                    r_1.entries_after,
                    r_1.dict_only_cids,
                    r_1.local_only_cids,
                    r_1.keys_added,
                    r_1.keys_corrected,
                    r_1.keys_removed,
                    r_1.keys_in_flight,
                    r_1.quarantined,
                    r_1.approved_by,
                    r_1.approved_why,
                    r_1.approved_set,
                    r_1.keys_registered,
                    r_1.keys_held,
                    r_1.keys_unsure,
                    r_1.pages_published,
                    r_1.changes_published
                   FROM dict.reconciliations r_1
                  WHERE ((r_1.participant = w.participant) AND (r_1.key_type = w.key_type) AND (r_1.ended_at IS NOT NULL) AND (r_1.outcome <> ALL (ARRAY['CANCELLED'::text, 'TERMINATED'::text])))
                  ORDER BY r_1.started_at DESC
                 LIMIT 1) r)
          WHERE ((w.last_ok_at IS NULL) OR (r.started_at > w.last_ok_at))
        ), found AS (
         SELECT watched.participant,
            watched.key_type,
                CASE
                    WHEN watched.missed THEN 'DEADLINE_MISSED'::text
                    ELSE 'NO_FRESH_OK'::text
                END AS code,
            watched.counted_from AS since,
            NULL::bigint AS count,
            NULL::uuid AS run_id,
            NULL::text AS error_code,
            watched.deadline_at
           FROM watched
          WHERE (watched.missed OR ((watched.counted_from + (watched.fresh_ok_hours * '01:00:00'::interval)) < workflow.now()))
        UNION ALL
         SELECT w.participant,
            w.key_type,
            'VERIFICATION_INCOMPLETE'::text,
            ( SELECT f_1.ended_at
                   FROM dict.verifications f_1
                  WHERE ((f_1.participant = w.participant) AND (((f_1.results -> w.key_type) ->> 'result'::text) = 'ERROR'::text) AND (((f_1.results -> w.key_type) ->> 'code'::text) IS DISTINCT FROM 'DV_RUN_CANCELLED'::text) AND (f_1.started_at > GREATEST(w.last_ok_at, (v.started_at - '30 days'::interval))))
                  ORDER BY f_1.started_at
                 LIMIT 1) AS ended_at,
            NULL::bigint,
            v.run_id,
            ((v.results -> w.key_type) ->> 'code'::text),
            NULL::timestamp with time zone
           FROM (watched w
             CROSS JOIN LATERAL ( SELECT v_1.run_id,
                    v_1.participant,
                    v_1.key_types,
                    v_1.started_at,
                    v_1.ended_at,
                    v_1.outcome,
                    v_1.results
                   FROM dict.verifications v_1
                  WHERE ((v_1.participant = w.participant) AND (w.key_type = ANY (v_1.key_types)) AND (((v_1.results -> w.key_type) ->> 'code'::text) IS DISTINCT FROM 'DV_RUN_CANCELLED'::text))
                  ORDER BY v_1.started_at DESC
                 LIMIT 1) v)
          WHERE ((((v.results -> w.key_type) ->> 'result'::text) = 'ERROR'::text) AND ((w.last_ok_at IS NULL) OR (v.started_at > w.last_ok_at)))
        UNION ALL
         SELECT r.participant,
            r.key_type,
            x.code,
            ( SELECT f_1.ended_at
                   FROM dict.reconciliations f_1
                  WHERE ((f_1.participant = r.participant) AND (f_1.key_type = r.key_type) AND (f_1.started_at > GREATEST(r.last_ok_at, (r.started_at - '30 days'::interval))) AND
                        CASE x.code
                            WHEN 'QUARANTINED'::text THEN (f_1.quarantined > 0)
                            WHEN 'UNSURE'::text THEN (f_1.keys_unsure > 0)
                            ELSE (f_1.outcome = ANY (ARRAY['FAILED'::text, 'POISONED'::text]))
                        END)
                  ORDER BY f_1.started_at
                 LIMIT 1) AS ended_at,
            x.count,
            r.run_id,
            x.error_code,
            NULL::timestamp with time zone
           FROM (reconciled r
             CROSS JOIN LATERAL ( VALUES ('RECONCILIATION_FAILED'::text,(r.outcome = ANY (ARRAY['FAILED'::text, 'POISONED'::text])),NULL::bigint,"substring"(r.reason, '^(DV_[A-Z_0-9]+): '::text)), ('QUARANTINED'::text,(r.quarantined > 0),r.quarantined,NULL::text), ('UNSURE'::text,(r.keys_unsure > 0),r.keys_unsure,NULL::text)) x(code, applies, count, error_code))
          WHERE x.applies
        UNION ALL
         SELECT w.participant,
            w.key_type,
            'APPROVAL_WAITING'::text,
            r.entered_at,
            NULL::bigint,
            r.id,
            NULL::text,
            NULL::timestamp with time zone
           FROM (watched w
             JOIN workflow.runs r ON (((r.workflow_key = dict.reconciliation_key(w.participant, w.key_type)) AND (r.closed_at IS NULL))))
          WHERE (workflow.waits_for(r.id, 'approve'::text) AND ((r.entered_at + (w.approval_hours * '01:00:00'::interval)) < workflow.now()))
        UNION ALL
         SELECT h.participant,
            h.key_type,
            'KEYS_HELD'::text,
            min(h.held_at) AS min,
            count(*) AS count,
            NULL::uuid,
            NULL::text,
            NULL::timestamp with time zone
           FROM dict.held_keys h
          WHERE (h.released_at IS NULL)
          GROUP BY h.participant, h.key_type
        UNION ALL
         SELECT (r.input ->> 'participant'::text),
            COALESCE((r.input ->> 'keyType'::text), 'ALL'::text) AS "coalesce",
            'RUN_FAILED'::text,
            min(r.closed_at) AS min,
            count(*) AS count,
            (array_agg(r.id ORDER BY r.closed_at DESC))[1] AS array_agg,
            (array_agg((r.error ->> 'code'::text) ORDER BY r.closed_at DESC))[1] AS array_agg,
            NULL::timestamp with time zone
           FROM workflow.runs r
          WHERE ((r.status = ANY (ARRAY['FAILED'::text, 'POISONED'::text])) AND (r.machine <> ALL (ARRAY['verification'::text, 'reconciliation'::text])) AND (r.closed_at > (workflow.now() - '7 days'::interval)) AND ((r.input ->> 'participant'::text) IS NOT NULL) AND (NOT (EXISTS ( SELECT
                   FROM workflow.runs n
                  WHERE ((n.workflow_key = r.workflow_key) AND (n.id > r.id))))))
          GROUP BY (r.input ->> 'participant'::text), COALESCE((r.input ->> 'keyType'::text), 'ALL'::text)
        )
 SELECT f.participant,
    f.key_type,
    f.code,
    f.since,
    f.count,
    f.run_id,
    f.error_code,
    f.deadline_at,
    d.last_ok_at
   FROM (found f
     LEFT JOIN dict.deadlines d ON (((d.participant = f.participant) AND (d.key_type = f.key_type))));


ALTER TABLE dict.warnings OWNER TO postgres;

--
-- Name: VIEW warnings; Type: COMMENT; Schema: dict; Owner: postgres
--

COMMENT ON VIEW dict.warnings IS 'What a person must look at, for each participant and key type (ALL: the participant as a whole): a code, since when its cause has existed, how many keys or runs, and the newest run that shows it. A row disappears when its cause does.';


--
-- Name: children; Type: VIEW; Schema: workflow; Owner: postgres
--

CREATE VIEW workflow.children AS
 SELECT r.parent_id,
    r.id AS child_id,
    true AS owned
   FROM workflow.runs r
  WHERE (r.parent_id IS NOT NULL)
UNION ALL
 SELECT r.id AS parent_id,
    a.child_id,
    false AS owned
   FROM workflow.runs r,
    LATERAL unnest(r.awaits) a(child_id);


ALTER TABLE workflow.children OWNER TO postgres;

--
-- Name: VIEW children; Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON VIEW workflow.children IS 'The children of each run: those that it started (owned), and those that were already open under the key it asked for. It waits for the latter too, but does not own them.';


--
-- Name: clock; Type: TABLE; Schema: workflow; Owner: postgres
--

CREATE TABLE workflow.clock (
    one_row boolean DEFAULT true NOT NULL,
    offset_by interval DEFAULT '00:00:00'::interval NOT NULL,
    CONSTRAINT clock_one_row_check CHECK (one_row)
);


ALTER TABLE workflow.clock OWNER TO postgres;

--
-- Name: TABLE clock; Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON TABLE workflow.clock IS 'How far workflow.now() differs from the real clock. 0 outside tests.';


--
-- Name: failures_to_log; Type: TABLE; Schema: workflow; Owner: postgres
--

CREATE TABLE workflow.failures_to_log (
    id bigint NOT NULL,
    run_id uuid NOT NULL,
    status text NOT NULL,
    error jsonb,
    CONSTRAINT failures_to_log_status_check CHECK ((status = ANY (ARRAY['FAILED'::text, 'POISONED'::text])))
);


ALTER TABLE workflow.failures_to_log OWNER TO postgres;

--
-- Name: TABLE failures_to_log; Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON TABLE workflow.failures_to_log IS 'Runs that ended FAILED or POISONED and are not in the log yet. A worker logs each once and deletes its row: a run can also end without a worker (by SQL, or by another worker''s sweep).';


--
-- Name: failures_to_log_id_seq; Type: SEQUENCE; Schema: workflow; Owner: postgres
--

ALTER TABLE workflow.failures_to_log ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME workflow.failures_to_log_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: history; Type: TABLE; Schema: workflow; Owner: postgres
--

CREATE TABLE workflow.history (
    id bigint NOT NULL,
    run_id uuid NOT NULL,
    version bigint NOT NULL,
    event text NOT NULL,
    state text NOT NULL,
    attempt integer NOT NULL,
    outcome text,
    next_state text,
    at timestamp with time zone NOT NULL,
    worker text,
    error jsonb,
    detail jsonb,
    CONSTRAINT history_event_check CHECK ((event = ANY (ARRAY['CREATED'::text, 'STARTED'::text, 'COMPLETED'::text, 'FAILED'::text, 'ABANDONED'::text, 'WAITING'::text, 'SIGNALLED'::text, 'WOKEN'::text, 'CANCEL_REQUESTED'::text, 'RETRIED'::text, 'RELEASED'::text, 'CLOSED'::text])))
)
WITH (autovacuum_vacuum_insert_scale_factor='0.05', autovacuum_analyze_scale_factor='0.05');


ALTER TABLE workflow.history OWNER TO postgres;

--
-- Name: TABLE history; Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON TABLE workflow.history IS 'What happened to a run, append-only. An attempt is STARTED when it is claimed. It ends as COMPLETED, FAILED, RELEASED (the worker gave it back without using up an attempt) or ABANDONED (its worker died).';


--
-- Name: history_id_seq; Type: SEQUENCE; Schema: workflow; Owner: postgres
--

ALTER TABLE workflow.history ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME workflow.history_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: machines; Type: TABLE; Schema: workflow; Owner: postgres
--

CREATE TABLE workflow.machines (
    name text NOT NULL,
    version integer NOT NULL,
    initial_state text NOT NULL,
    definition_sha256 text NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT machines_version_check CHECK ((version > 0))
);


ALTER TABLE workflow.machines OWNER TO postgres;

--
-- Name: TABLE machines; Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON TABLE workflow.machines IS 'Each machine in each version that a program has started with. Written when the program starts; a changed machine is a new version.';


--
-- Name: migrations_applied; Type: TABLE; Schema: workflow; Owner: postgres
--

CREATE TABLE workflow.migrations_applied (
    id bigint NOT NULL,
    index integer NOT NULL,
    name text NOT NULL,
    script text NOT NULL,
    applied_at timestamp with time zone NOT NULL,
    ignored_error text,
    obsolete boolean NOT NULL
);


ALTER TABLE workflow.migrations_applied OWNER TO postgres;

--
-- Name: migrations_applied_id_seq; Type: SEQUENCE; Schema: workflow; Owner: postgres
--

CREATE SEQUENCE workflow.migrations_applied_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER TABLE workflow.migrations_applied_id_seq OWNER TO postgres;

--
-- Name: migrations_applied_id_seq; Type: SEQUENCE OWNED BY; Schema: workflow; Owner: postgres
--

ALTER SEQUENCE workflow.migrations_applied_id_seq OWNED BY workflow.migrations_applied.id;


--
-- Name: migrations_version; Type: TABLE; Schema: workflow; Owner: postgres
--

CREATE TABLE workflow.migrations_version (
    id integer NOT NULL,
    version text
);


ALTER TABLE workflow.migrations_version OWNER TO postgres;

--
-- Name: runs_view; Type: VIEW; Schema: workflow; Owner: postgres
--

CREATE VIEW workflow.runs_view AS
 SELECT r.id,
    r.machine,
    r.machine_version,
    r.workflow_key,
    r.status,
    r.state,
    r.attempt,
    s.max_attempts,
        CASE
            WHEN (r.closed_at IS NOT NULL) THEN NULL::text
            WHEN (said.waits_for IS NOT NULL) THEN said.waits_for
            WHEN (r.claimed_by IS NOT NULL) THEN ('the end of the step '::text || r.state)
            WHEN ((r.status = 'WAITING'::text) AND s.awaits_children) THEN 'the end of its children'::text
            WHEN (r.status = 'WAITING'::text) THEN ('a signal: '::text || array_to_string(s.signals, ' or '::text))
            WHEN (r.attempt > 0) THEN ((('attempt '::text || (r.attempt + 1)) || ' of the step '::text) || r.state)
            ELSE ('a worker for the step '::text || r.state)
        END AS waits_for,
    r.wake_at,
    r.deadline,
    r.claimed_by,
    (r.error ->> 'code'::text) AS error_code,
    (r.error ->> 'message'::text) AS error_message,
    r.failed_state,
    r.parent_id,
    r.continued_from,
    r.started_by,
    r.correlation_id,
    r.input,
    r.created_at,
    r.updated_at,
    r.closed_at,
    (COALESCE(r.closed_at, workflow.now()) - r.created_at) AS duration
   FROM ((workflow.runs r
     JOIN workflow.states s ON (((s.machine = r.machine) AND (s.version = r.machine_version) AND (s.state = r.state))))
     LEFT JOIN LATERAL ( SELECT (h.detail ->> 'waitsFor'::text) AS waits_for
           FROM workflow.history h
          WHERE ((h.run_id = r.id) AND (r.closed_at IS NULL) AND (r.claimed_by IS NULL))
          ORDER BY h.id DESC
         LIMIT 1) said ON (true));


ALTER TABLE workflow.runs_view OWNER TO postgres;

--
-- Name: VIEW runs_view; Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON VIEW workflow.runs_view IS 'Runs for people to read: status, state, what each run waits for, and its last error.';


--
-- Name: schedules; Type: TABLE; Schema: workflow; Owner: postgres
--

CREATE TABLE workflow.schedules (
    name text NOT NULL,
    last_tick timestamp with time zone NOT NULL
);


ALTER TABLE workflow.schedules OWNER TO postgres;

--
-- Name: TABLE schedules; Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON TABLE workflow.schedules IS 'The last tick of each crontab line that was decided, so that each tick starts one run however many workers there are.';


--
-- Name: settings; Type: TABLE; Schema: workflow; Owner: postgres
--

CREATE TABLE workflow.settings (
    name text NOT NULL,
    value text NOT NULL
);


ALTER TABLE workflow.settings OWNER TO postgres;

--
-- Name: TABLE settings; Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON TABLE workflow.settings IS 'What the SQL functions must know about the installation: graphile_worker_schema, the schema of Graphile Worker.';


--
-- Name: signals; Type: TABLE; Schema: workflow; Owner: postgres
--

CREATE TABLE workflow.signals (
    id bigint NOT NULL,
    run_id uuid NOT NULL,
    name text NOT NULL,
    payload jsonb DEFAULT '{}'::jsonb NOT NULL,
    sent_by text NOT NULL,
    reason text,
    sent_at timestamp with time zone NOT NULL,
    consumed_at timestamp with time zone
);


ALTER TABLE workflow.signals OWNER TO postgres;

--
-- Name: TABLE signals; Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON TABLE workflow.signals IS 'The signals that people, schedules and other runs sent to a run: approve, reject, tick.';


--
-- Name: signals_id_seq; Type: SEQUENCE; Schema: workflow; Owner: postgres
--

ALTER TABLE workflow.signals ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME workflow.signals_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: transitions; Type: TABLE; Schema: workflow; Owner: postgres
--

CREATE TABLE workflow.transitions (
    machine text NOT NULL,
    version integer NOT NULL,
    state text NOT NULL,
    outcome text NOT NULL,
    next_state text NOT NULL
);


ALTER TABLE workflow.transitions OWNER TO postgres;

--
-- Name: TABLE transitions; Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON TABLE workflow.transitions IS 'Where each outcome of a state leads. The outcome `failure` is taken when the attempts are used up or an error is not retryable. If the state has no such outcome, the run closes FAILED.';


--
-- Name: workers; Type: TABLE; Schema: workflow; Owner: postgres
--

CREATE TABLE workflow.workers (
    id text NOT NULL,
    graphile_ids text[] DEFAULT '{}'::text[] NOT NULL,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    heartbeat_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    stopped_at timestamp with time zone
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='200');


ALTER TABLE workflow.workers OWNER TO postgres;

--
-- Name: TABLE workers; Type: COMMENT; Schema: workflow; Owner: postgres
--

COMMENT ON TABLE workflow.workers IS 'Worker processes and their heartbeats, in real time, never in the tests'' time.';


--
-- Name: migrations_applied id; Type: DEFAULT; Schema: workflow; Owner: postgres
--

ALTER TABLE ONLY workflow.migrations_applied ALTER COLUMN id SET DEFAULT nextval('workflow.migrations_applied_id_seq'::regclass);


--
-- Name: cid_files cid_files_pkey; Type: CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.cid_files
    ADD CONSTRAINT cid_files_pkey PRIMARY KEY (id);


--
-- Name: cid_history cid_history_pkey; Type: CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.cid_history
    ADD CONSTRAINT cid_history_pkey PRIMARY KEY (id);


--
-- Name: divergences divergences_pkey; Type: CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.divergences
    ADD CONSTRAINT divergences_pkey PRIMARY KEY (run_id, round, cid);


--
-- Name: entries entries_pkey; Type: CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.entries
    ADD CONSTRAINT entries_pkey PRIMARY KEY (participant, key_type, key);


--
-- Name: feed_queue feed_queue_pkey; Type: CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.feed_queue
    ADD CONSTRAINT feed_queue_pkey PRIMARY KEY (id);


--
-- Name: feed_rejects feed_rejects_pkey; Type: CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.feed_rejects
    ADD CONSTRAINT feed_rejects_pkey PRIMARY KEY (source, participant, key_type, key);


--
-- Name: feed_sources feed_sources_pkey; Type: CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.feed_sources
    ADD CONSTRAINT feed_sources_pkey PRIMARY KEY (name);


--
-- Name: feed_tables feed_tables_pkey; Type: CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.feed_tables
    ADD CONSTRAINT feed_tables_pkey PRIMARY KEY (source, table_name);


--
-- Name: held_keys held_keys_pkey; Type: CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.held_keys
    ADD CONSTRAINT held_keys_pkey PRIMARY KEY (id);


--
-- Name: key_event_order key_event_order_pkey; Type: CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.key_event_order
    ADD CONSTRAINT key_event_order_pkey PRIMARY KEY (participant, key_type, key);


--
-- Name: key_events key_events_pkey; Type: CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.key_events
    ADD CONSTRAINT key_events_pkey PRIMARY KEY (source, id);


--
-- Name: notifications notifications_participant_key_type_sequence_key; Type: CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.notifications
    ADD CONSTRAINT notifications_participant_key_type_sequence_key UNIQUE (participant, key_type, sequence);


--
-- Name: notifications notifications_pkey; Type: CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.notifications
    ADD CONSTRAINT notifications_pkey PRIMARY KEY (id);


--
-- Name: outbox_backoffs outbox_backoffs_pkey; Type: CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.outbox_backoffs
    ADD CONSTRAINT outbox_backoffs_pkey PRIMARY KEY (destination, participant, key_type);


--
-- Name: outbox outbox_destination_participant_key_type_sequence_key; Type: CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.outbox
    ADD CONSTRAINT outbox_destination_participant_key_type_sequence_key UNIQUE (destination, participant, key_type, sequence);


--
-- Name: outbox outbox_pkey; Type: CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (id);


--
-- Name: outbox_sequences outbox_sequences_pkey; Type: CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.outbox_sequences
    ADD CONSTRAINT outbox_sequences_pkey PRIMARY KEY (destination, participant, key_type);


--
-- Name: participants participants_pkey; Type: CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.participants
    ADD CONSTRAINT participants_pkey PRIMARY KEY (participant);


--
-- Name: rate_limits rate_limits_pkey; Type: CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.rate_limits
    ADD CONSTRAINT rate_limits_pkey PRIMARY KEY (participant, policy);


--
-- Name: reconciliations reconciliations_pkey; Type: CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.reconciliations
    ADD CONSTRAINT reconciliations_pkey PRIMARY KEY (run_id);


--
-- Name: retry_policy retry_policy_pkey; Type: CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.retry_policy
    ADD CONSTRAINT retry_policy_pkey PRIMARY KEY (one_row);


--
-- Name: rounds rounds_pkey; Type: CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.rounds
    ADD CONSTRAINT rounds_pkey PRIMARY KEY (run_id, round);


--
-- Name: sync_verifications sync_verifications_pkey; Type: CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.sync_verifications
    ADD CONSTRAINT sync_verifications_pkey PRIMARY KEY (id);


--
-- Name: undone undone_pkey; Type: CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.undone
    ADD CONSTRAINT undone_pkey PRIMARY KEY (undo_run_id, key);


--
-- Name: undos undos_pkey; Type: CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.undos
    ADD CONSTRAINT undos_pkey PRIMARY KEY (undo_run_id);


--
-- Name: verifications verifications_pkey; Type: CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.verifications
    ADD CONSTRAINT verifications_pkey PRIMARY KEY (run_id);


--
-- Name: vsync_buckets vsync_buckets_pkey; Type: CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.vsync_buckets
    ADD CONSTRAINT vsync_buckets_pkey PRIMARY KEY (participant, key_type, bucket);


--
-- Name: vsync_scans vsync_scans_pkey; Type: CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.vsync_scans
    ADD CONSTRAINT vsync_scans_pkey PRIMARY KEY (participant, key_type);


--
-- Name: warning_alerts warning_alerts_pkey; Type: CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.warning_alerts
    ADD CONSTRAINT warning_alerts_pkey PRIMARY KEY (id);


--
-- Name: warning_settings warning_settings_pkey; Type: CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.warning_settings
    ADD CONSTRAINT warning_settings_pkey PRIMARY KEY (one_row);


--
-- Name: clock clock_pkey; Type: CONSTRAINT; Schema: workflow; Owner: postgres
--

ALTER TABLE ONLY workflow.clock
    ADD CONSTRAINT clock_pkey PRIMARY KEY (one_row);


--
-- Name: failures_to_log failures_to_log_pkey; Type: CONSTRAINT; Schema: workflow; Owner: postgres
--

ALTER TABLE ONLY workflow.failures_to_log
    ADD CONSTRAINT failures_to_log_pkey PRIMARY KEY (id);


--
-- Name: history history_pkey; Type: CONSTRAINT; Schema: workflow; Owner: postgres
--

ALTER TABLE ONLY workflow.history
    ADD CONSTRAINT history_pkey PRIMARY KEY (id);


--
-- Name: machines machines_pkey; Type: CONSTRAINT; Schema: workflow; Owner: postgres
--

ALTER TABLE ONLY workflow.machines
    ADD CONSTRAINT machines_pkey PRIMARY KEY (name, version);


--
-- Name: migrations_applied migrations_applied_pkey; Type: CONSTRAINT; Schema: workflow; Owner: postgres
--

ALTER TABLE ONLY workflow.migrations_applied
    ADD CONSTRAINT migrations_applied_pkey PRIMARY KEY (id);


--
-- Name: migrations_version migrations_version_pkey; Type: CONSTRAINT; Schema: workflow; Owner: postgres
--

ALTER TABLE ONLY workflow.migrations_version
    ADD CONSTRAINT migrations_version_pkey PRIMARY KEY (id);


--
-- Name: runs runs_pkey; Type: CONSTRAINT; Schema: workflow; Owner: postgres
--

ALTER TABLE ONLY workflow.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (id);


--
-- Name: schedule_ticks schedule_ticks_pkey; Type: CONSTRAINT; Schema: workflow; Owner: postgres
--

ALTER TABLE ONLY workflow.schedule_ticks
    ADD CONSTRAINT schedule_ticks_pkey PRIMARY KEY (schedule, tick);


--
-- Name: schedules schedules_pkey; Type: CONSTRAINT; Schema: workflow; Owner: postgres
--

ALTER TABLE ONLY workflow.schedules
    ADD CONSTRAINT schedules_pkey PRIMARY KEY (name);


--
-- Name: settings settings_pkey; Type: CONSTRAINT; Schema: workflow; Owner: postgres
--

ALTER TABLE ONLY workflow.settings
    ADD CONSTRAINT settings_pkey PRIMARY KEY (name);


--
-- Name: signals signals_pkey; Type: CONSTRAINT; Schema: workflow; Owner: postgres
--

ALTER TABLE ONLY workflow.signals
    ADD CONSTRAINT signals_pkey PRIMARY KEY (id);


--
-- Name: states states_pkey; Type: CONSTRAINT; Schema: workflow; Owner: postgres
--

ALTER TABLE ONLY workflow.states
    ADD CONSTRAINT states_pkey PRIMARY KEY (machine, version, state);


--
-- Name: transitions transitions_pkey; Type: CONSTRAINT; Schema: workflow; Owner: postgres
--

ALTER TABLE ONLY workflow.transitions
    ADD CONSTRAINT transitions_pkey PRIMARY KEY (machine, version, state, outcome);


--
-- Name: workers workers_pkey; Type: CONSTRAINT; Schema: workflow; Owner: postgres
--

ALTER TABLE ONLY workflow.workers
    ADD CONSTRAINT workers_pkey PRIMARY KEY (id);


--
-- Name: cid_changes_cid; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE INDEX cid_changes_cid ON dict.cid_changes USING btree (cid) WHERE (cid IS NOT NULL);


--
-- Name: cid_files_asked; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE INDEX cid_files_asked ON dict.cid_files USING btree (asked_at);


--
-- Name: cid_files_run; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE INDEX cid_files_run ON dict.cid_files USING btree (run_id);


--
-- Name: cid_history_cid; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE INDEX cid_history_cid ON dict.cid_history USING btree (cid);


--
-- Name: cid_history_key; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE INDEX cid_history_key ON dict.cid_history USING btree (participant, key_type, key);


--
-- Name: cid_history_left; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE INDEX cid_history_left ON dict.cid_history USING btree (left_xid);


--
-- Name: divergences_changed; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE INDEX divergences_changed ON dict.divergences USING btree (run_id, key, decided_xid) WHERE (decision = ANY (ARRAY['ADDED'::text, 'CORRECTED'::text, 'REMOVED'::text]));


--
-- Name: divergences_pending; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE INDEX divergences_pending ON dict.divergences USING btree (run_id, round, side, cid) WHERE (decision = 'PENDING'::text);


--
-- Name: divergences_unsure; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE INDEX divergences_unsure ON dict.divergences USING btree (cid) WHERE (decision = ANY (ARRAY['UNSURE'::text, 'REFUSED'::text]));


--
-- Name: entries_changed; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE INDEX entries_changed ON dict.entries USING btree (changed_xid);


--
-- Name: entries_cid; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE INDEX entries_cid ON dict.entries USING btree (participant, key_type, cid) WHERE (removed_at IS NULL);


--
-- Name: feed_queue_due; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE INDEX feed_queue_due ON dict.feed_queue USING btree (look_again_after);


--
-- Name: feed_queue_missed; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE INDEX feed_queue_missed ON dict.feed_queue USING btree (participant, key_type, key) WHERE (missed AND (look_again_after IS NULL));


--
-- Name: held_keys_held; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE UNIQUE INDEX held_keys_held ON dict.held_keys USING btree (participant, key_type, key) WHERE (released_at IS NULL);


--
-- Name: held_keys_undo; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE INDEX held_keys_undo ON dict.held_keys USING btree (undo_run_id) WHERE (released_at IS NULL);


--
-- Name: key_events_received; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE INDEX key_events_received ON dict.key_events USING btree (received_at);


--
-- Name: key_events_refused; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE INDEX key_events_refused ON dict.key_events USING btree (participant, key_type) WHERE (outcome = 'REFUSED'::text);


--
-- Name: notifications_delivered; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE INDEX notifications_delivered ON dict.notifications USING btree (delivered_at);


--
-- Name: outbox_dead; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE INDEX outbox_dead ON dict.outbox USING btree (destination, participant, key_type, sequence) WHERE (dead_at IS NOT NULL);


--
-- Name: outbox_delivered; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE INDEX outbox_delivered ON dict.outbox USING btree (delivered_at) WHERE (delivered_at IS NOT NULL);


--
-- Name: outbox_waiting; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE INDEX outbox_waiting ON dict.outbox USING btree (destination, participant, key_type, sequence) WHERE ((delivered_at IS NULL) AND (dead_at IS NULL));


--
-- Name: reconciliations_ended; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE INDEX reconciliations_ended ON dict.reconciliations USING btree (ended_at);


--
-- Name: reconciliations_latest; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE INDEX reconciliations_latest ON dict.reconciliations USING btree (participant, key_type, started_at DESC);


--
-- Name: rounds_file; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE INDEX rounds_file ON dict.rounds USING btree (file_id) WHERE (file_id IS NOT NULL);


--
-- Name: sync_verifications_asked; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE INDEX sync_verifications_asked ON dict.sync_verifications USING btree (asked_at);


--
-- Name: sync_verifications_latest; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE INDEX sync_verifications_latest ON dict.sync_verifications USING btree (participant, key_type, asked_at DESC);


--
-- Name: sync_verifications_ok; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE INDEX sync_verifications_ok ON dict.sync_verifications USING btree (participant, key_type, answered_at DESC) WHERE (result = 'OK'::text);


--
-- Name: sync_verifications_run; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE INDEX sync_verifications_run ON dict.sync_verifications USING btree (run_id);


--
-- Name: undone_run; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE INDEX undone_run ON dict.undone USING btree (run_id, key);


--
-- Name: undos_run; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE INDEX undos_run ON dict.undos USING btree (run_id);


--
-- Name: verifications_latest; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE INDEX verifications_latest ON dict.verifications USING btree (participant, started_at DESC);


--
-- Name: warning_alerts_raised; Type: INDEX; Schema: dict; Owner: postgres
--

CREATE UNIQUE INDEX warning_alerts_raised ON dict.warning_alerts USING btree (participant, key_type, code) WHERE (cleared_at IS NULL);


--
-- Name: failures_to_log_run; Type: INDEX; Schema: workflow; Owner: postgres
--

CREATE INDEX failures_to_log_run ON workflow.failures_to_log USING btree (run_id);


--
-- Name: history_run; Type: INDEX; Schema: workflow; Owner: postgres
--

CREATE INDEX history_run ON workflow.history USING btree (run_id, id);


--
-- Name: runs_claimed; Type: INDEX; Schema: workflow; Owner: postgres
--

CREATE INDEX runs_claimed ON workflow.runs USING btree (claimed_by) WHERE (claimed_by IS NOT NULL);


--
-- Name: runs_closed; Type: INDEX; Schema: workflow; Owner: postgres
--

CREATE INDEX runs_closed ON workflow.runs USING btree (closed_at) WHERE (closed_at IS NOT NULL);


--
-- Name: runs_continued_from; Type: INDEX; Schema: workflow; Owner: postgres
--

CREATE INDEX runs_continued_from ON workflow.runs USING btree (continued_from) WHERE (continued_from IS NOT NULL);


--
-- Name: runs_due; Type: INDEX; Schema: workflow; Owner: postgres
--

CREATE INDEX runs_due ON workflow.runs USING btree (wake_at) WHERE ((closed_at IS NULL) AND (wake_at IS NOT NULL));


--
-- Name: runs_failed; Type: INDEX; Schema: workflow; Owner: postgres
--

CREATE INDEX runs_failed ON workflow.runs USING btree (closed_at) WHERE (status = ANY (ARRAY['FAILED'::text, 'POISONED'::text]));


--
-- Name: runs_key; Type: INDEX; Schema: workflow; Owner: postgres
--

CREATE INDEX runs_key ON workflow.runs USING btree (workflow_key, id);


--
-- Name: runs_open_key; Type: INDEX; Schema: workflow; Owner: postgres
--

CREATE UNIQUE INDEX runs_open_key ON workflow.runs USING btree (workflow_key) WHERE (closed_at IS NULL);


--
-- Name: runs_parent; Type: INDEX; Schema: workflow; Owner: postgres
--

CREATE INDEX runs_parent ON workflow.runs USING btree (parent_id) WHERE (parent_id IS NOT NULL);


--
-- Name: signals_pending; Type: INDEX; Schema: workflow; Owner: postgres
--

CREATE INDEX signals_pending ON workflow.signals USING btree (run_id, id) WHERE (consumed_at IS NULL);


--
-- Name: signals_run; Type: INDEX; Schema: workflow; Owner: postgres
--

CREATE INDEX signals_run ON workflow.signals USING btree (run_id);


--
-- Name: entries entries_deleted; Type: TRIGGER; Schema: dict; Owner: postgres
--

CREATE TRIGGER entries_deleted AFTER DELETE ON dict.entries REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION dict.entries_deleted();


--
-- Name: entries entries_inserted; Type: TRIGGER; Schema: dict; Owner: postgres
--

CREATE TRIGGER entries_inserted AFTER INSERT ON dict.entries REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION dict.entries_inserted();


--
-- Name: entries entries_truncated; Type: TRIGGER; Schema: dict; Owner: postgres
--

CREATE TRIGGER entries_truncated BEFORE TRUNCATE ON dict.entries FOR EACH STATEMENT EXECUTE FUNCTION dict.entries_truncated();


--
-- Name: entries entries_updated; Type: TRIGGER; Schema: dict; Owner: postgres
--

CREATE TRIGGER entries_updated AFTER UPDATE ON dict.entries REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION dict.entries_updated();


--
-- Name: entries reason_given; Type: TRIGGER; Schema: dict; Owner: postgres
--

CREATE TRIGGER reason_given BEFORE UPDATE OF changed_why ON dict.entries FOR EACH ROW EXECUTE FUNCTION dict.mark_reason_given();


--
-- Name: entries touch_entry; Type: TRIGGER; Schema: dict; Owner: postgres
--

CREATE TRIGGER touch_entry BEFORE UPDATE ON dict.entries FOR EACH ROW EXECUTE FUNCTION dict.touch_entry();


--
-- Name: history guard_history; Type: TRIGGER; Schema: workflow; Owner: postgres
--

CREATE TRIGGER guard_history BEFORE UPDATE ON workflow.history FOR EACH STATEMENT EXECUTE FUNCTION workflow.guard_history();


--
-- Name: history guard_history_deletion; Type: TRIGGER; Schema: workflow; Owner: postgres
--

CREATE TRIGGER guard_history_deletion AFTER DELETE ON workflow.history REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION workflow.guard_history_deletion();


--
-- Name: runs guard_new_run; Type: TRIGGER; Schema: workflow; Owner: postgres
--

CREATE TRIGGER guard_new_run BEFORE INSERT ON workflow.runs FOR EACH ROW EXECUTE FUNCTION workflow.guard_run();


--
-- Name: runs guard_run; Type: TRIGGER; Schema: workflow; Owner: postgres
--

CREATE TRIGGER guard_run BEFORE UPDATE ON workflow.runs FOR EACH ROW WHEN (((old.closed_at IS NOT NULL) OR (((((((old.id IS DISTINCT FROM new.id) OR (old.machine IS DISTINCT FROM new.machine)) OR (old.machine_version IS DISTINCT FROM new.machine_version)) OR (old.workflow_key IS DISTINCT FROM new.workflow_key)) OR (old.state IS DISTINCT FROM new.state)) OR (old.status IS DISTINCT FROM new.status)) OR (old.closed_at IS DISTINCT FROM new.closed_at)))) EXECUTE FUNCTION workflow.guard_run();


--
-- Name: runs inherit_awaiting; Type: TRIGGER; Schema: workflow; Owner: postgres
--

CREATE TRIGGER inherit_awaiting BEFORE INSERT ON workflow.runs FOR EACH ROW WHEN ((new.continued_from IS NOT NULL)) EXECUTE FUNCTION workflow.inherit_awaiting();


--
-- Name: runs reconciliation_closed; Type: TRIGGER; Schema: workflow; Owner: postgres
--

CREATE TRIGGER reconciliation_closed AFTER UPDATE OF closed_at ON workflow.runs FOR EACH ROW WHEN (((new.machine = 'reconciliation'::text) AND (old.closed_at IS NULL) AND (new.closed_at IS NOT NULL))) EXECUTE FUNCTION dict.reconciliation_closed();


--
-- Name: runs undo_closed; Type: TRIGGER; Schema: workflow; Owner: postgres
--

CREATE TRIGGER undo_closed AFTER UPDATE OF closed_at ON workflow.runs FOR EACH ROW WHEN (((new.machine = 'undo'::text) AND ((old.closed_at IS NULL) <> (new.closed_at IS NULL)))) EXECUTE FUNCTION dict.undo_closed();


--
-- Name: runs verification_closed; Type: TRIGGER; Schema: workflow; Owner: postgres
--

CREATE TRIGGER verification_closed AFTER UPDATE OF closed_at ON workflow.runs FOR EACH ROW WHEN (((new.machine = 'verification'::text) AND (old.closed_at IS NULL) AND (new.closed_at IS NOT NULL))) EXECUTE FUNCTION dict.verification_closed();


--
-- Name: runs wake_awaiting; Type: TRIGGER; Schema: workflow; Owner: postgres
--

CREATE TRIGGER wake_awaiting AFTER UPDATE OF closed_at ON workflow.runs FOR EACH ROW WHEN (((old.closed_at IS NULL) AND (new.closed_at IS NOT NULL) AND (new.awaited_by IS NOT NULL))) EXECUTE FUNCTION workflow.wake_awaiting();


--
-- Name: cid_files cid_files_run_id_fkey; Type: FK CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.cid_files
    ADD CONSTRAINT cid_files_run_id_fkey FOREIGN KEY (run_id) REFERENCES dict.reconciliations(run_id) ON DELETE CASCADE;


--
-- Name: divergences divergences_run_id_fkey; Type: FK CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.divergences
    ADD CONSTRAINT divergences_run_id_fkey FOREIGN KEY (run_id) REFERENCES dict.reconciliations(run_id) ON DELETE CASCADE;


--
-- Name: feed_queue feed_queue_source_fkey; Type: FK CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.feed_queue
    ADD CONSTRAINT feed_queue_source_fkey FOREIGN KEY (source) REFERENCES dict.feed_sources(name) ON DELETE CASCADE;


--
-- Name: feed_rejects feed_rejects_source_fkey; Type: FK CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.feed_rejects
    ADD CONSTRAINT feed_rejects_source_fkey FOREIGN KEY (source) REFERENCES dict.feed_sources(name) ON DELETE CASCADE;


--
-- Name: feed_tables feed_tables_source_fkey; Type: FK CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.feed_tables
    ADD CONSTRAINT feed_tables_source_fkey FOREIGN KEY (source) REFERENCES dict.feed_sources(name) ON DELETE CASCADE;


--
-- Name: rounds rounds_run_id_fkey; Type: FK CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.rounds
    ADD CONSTRAINT rounds_run_id_fkey FOREIGN KEY (run_id) REFERENCES dict.reconciliations(run_id) ON DELETE CASCADE;


--
-- Name: undone undone_undo_run_id_fkey; Type: FK CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.undone
    ADD CONSTRAINT undone_undo_run_id_fkey FOREIGN KEY (undo_run_id) REFERENCES dict.undos(undo_run_id) ON DELETE CASCADE;


--
-- Name: undos undos_run_id_fkey; Type: FK CONSTRAINT; Schema: dict; Owner: postgres
--

ALTER TABLE ONLY dict.undos
    ADD CONSTRAINT undos_run_id_fkey FOREIGN KEY (run_id) REFERENCES dict.reconciliations(run_id) ON DELETE CASCADE;


--
-- Name: failures_to_log failures_to_log_run_id_fkey; Type: FK CONSTRAINT; Schema: workflow; Owner: postgres
--

ALTER TABLE ONLY workflow.failures_to_log
    ADD CONSTRAINT failures_to_log_run_id_fkey FOREIGN KEY (run_id) REFERENCES workflow.runs(id) ON DELETE CASCADE;


--
-- Name: history history_run_id_fkey; Type: FK CONSTRAINT; Schema: workflow; Owner: postgres
--

ALTER TABLE ONLY workflow.history
    ADD CONSTRAINT history_run_id_fkey FOREIGN KEY (run_id) REFERENCES workflow.runs(id) ON DELETE CASCADE;


--
-- Name: machines machines_name_version_initial_state_fkey; Type: FK CONSTRAINT; Schema: workflow; Owner: postgres
--

ALTER TABLE ONLY workflow.machines
    ADD CONSTRAINT machines_name_version_initial_state_fkey FOREIGN KEY (name, version, initial_state) REFERENCES workflow.states(machine, version, state) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: runs runs_continued_from_fkey; Type: FK CONSTRAINT; Schema: workflow; Owner: postgres
--

ALTER TABLE ONLY workflow.runs
    ADD CONSTRAINT runs_continued_from_fkey FOREIGN KEY (continued_from) REFERENCES workflow.runs(id) ON DELETE SET NULL;


--
-- Name: runs runs_machine_machine_version_state_fkey; Type: FK CONSTRAINT; Schema: workflow; Owner: postgres
--

ALTER TABLE ONLY workflow.runs
    ADD CONSTRAINT runs_machine_machine_version_state_fkey FOREIGN KEY (machine, machine_version, state) REFERENCES workflow.states(machine, version, state);


--
-- Name: runs runs_parent_id_fkey; Type: FK CONSTRAINT; Schema: workflow; Owner: postgres
--

ALTER TABLE ONLY workflow.runs
    ADD CONSTRAINT runs_parent_id_fkey FOREIGN KEY (parent_id) REFERENCES workflow.runs(id) ON DELETE SET NULL;


--
-- Name: schedule_ticks schedule_ticks_schedule_fkey; Type: FK CONSTRAINT; Schema: workflow; Owner: postgres
--

ALTER TABLE ONLY workflow.schedule_ticks
    ADD CONSTRAINT schedule_ticks_schedule_fkey FOREIGN KEY (schedule) REFERENCES workflow.schedules(name) ON DELETE CASCADE;


--
-- Name: signals signals_run_id_fkey; Type: FK CONSTRAINT; Schema: workflow; Owner: postgres
--

ALTER TABLE ONLY workflow.signals
    ADD CONSTRAINT signals_run_id_fkey FOREIGN KEY (run_id) REFERENCES workflow.runs(id) ON DELETE CASCADE;


--
-- Name: states states_machine_version_fkey; Type: FK CONSTRAINT; Schema: workflow; Owner: postgres
--

ALTER TABLE ONLY workflow.states
    ADD CONSTRAINT states_machine_version_fkey FOREIGN KEY (machine, version) REFERENCES workflow.machines(name, version) ON DELETE CASCADE;


--
-- Name: transitions transitions_machine_version_next_state_fkey; Type: FK CONSTRAINT; Schema: workflow; Owner: postgres
--

ALTER TABLE ONLY workflow.transitions
    ADD CONSTRAINT transitions_machine_version_next_state_fkey FOREIGN KEY (machine, version, next_state) REFERENCES workflow.states(machine, version, state) ON DELETE CASCADE;


--
-- Name: transitions transitions_machine_version_state_fkey; Type: FK CONSTRAINT; Schema: workflow; Owner: postgres
--

ALTER TABLE ONLY workflow.transitions
    ADD CONSTRAINT transitions_machine_version_state_fkey FOREIGN KEY (machine, version, state) REFERENCES workflow.states(machine, version, state) ON DELETE CASCADE;


--
-- Name: FUNCTION analyze_divergences(); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.analyze_divergences() FROM PUBLIC;


--
-- Name: FUNCTION apply_key_event(event jsonb); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.apply_key_event(event jsonb) FROM PUBLIC;


--
-- Name: FUNCTION approve_reconciliation(run uuid, by_whom text, reason text, set_hash text); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.approve_reconciliation(run uuid, by_whom text, reason text, set_hash text) FROM PUBLIC;


--
-- Name: FUNCTION check_warnings(); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.check_warnings() FROM PUBLIC;


--
-- Name: FUNCTION connect_source(name text, source_view regclass, apply_function regprocedure, participants text[]); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.connect_source(name text, source_view regclass, apply_function regprocedure, participants text[]) FROM PUBLIC;


--
-- Name: FUNCTION decide_reconciliation(run uuid, signal text, by_whom text, reason text, set_hash text); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.decide_reconciliation(run uuid, signal text, by_whom text, reason text, set_hash text) FROM PUBLIC;


--
-- Name: FUNCTION disconnect_source(name text); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.disconnect_source(name text) FROM PUBLIC;


--
-- Name: FUNCTION empty_bucket(of_participant text, of_policy text, stay_away interval); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.empty_bucket(of_participant text, of_policy text, stay_away interval) FROM PUBLIC;


--
-- Name: FUNCTION entries_deleted(); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.entries_deleted() FROM PUBLIC;


--
-- Name: FUNCTION entries_inserted(); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.entries_inserted() FROM PUBLIC;


--
-- Name: FUNCTION entries_truncated(); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.entries_truncated() FROM PUBLIC;


--
-- Name: FUNCTION entries_updated(); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.entries_updated() FROM PUBLIC;


--
-- Name: FUNCTION feed_batch(s dict.feed_sources, refs dict.key_ref[]); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.feed_batch(s dict.feed_sources, refs dict.key_ref[]) FROM PUBLIC;


--
-- Name: FUNCTION feed_changed(); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.feed_changed() FROM PUBLIC;


--
-- Name: FUNCTION feed_differing(s dict.feed_sources); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.feed_differing(s dict.feed_sources) FROM PUBLIC;


--
-- Name: FUNCTION feed_in_chunks(s dict.feed_sources, refs dict.key_ref[]); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.feed_in_chunks(s dict.feed_sources, refs dict.key_ref[]) FROM PUBLIC;


--
-- Name: FUNCTION feed_keys(s dict.feed_sources, refs dict.key_ref[]); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.feed_keys(s dict.feed_sources, refs dict.key_ref[]) FROM PUBLIC;


--
-- Name: FUNCTION feed_missed(of_participant text, of_key_type text, of_key text); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.feed_missed(of_participant text, of_key_type text, of_key text) FROM PUBLIC;


--
-- Name: FUNCTION feed_table(source text, feeding regclass, keys_function regprocedure, columns text[]); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.feed_table(source text, feeding regclass, keys_function regprocedure, columns text[]) FROM PUBLIC;


--
-- Name: FUNCTION fold_vsync_deltas(most integer); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.fold_vsync_deltas(most integer) FROM PUBLIC;


--
-- Name: FUNCTION forget_key_events(days double precision, most integer); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.forget_key_events(days double precision, most integer) FROM PUBLIC;


--
-- Name: FUNCTION load_source(name text); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.load_source(name text) FROM PUBLIC;


--
-- Name: FUNCTION note_broken(of_source text, state text); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.note_broken(of_source text, state text) FROM PUBLIC;


--
-- Name: FUNCTION note_reject(source text, ref dict.key_ref, why text); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.note_reject(source text, ref dict.key_ref, why text) FROM PUBLIC;


--
-- Name: FUNCTION process_feed_queue(most integer); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.process_feed_queue(most integer) FROM PUBLIC;


--
-- Name: FUNCTION publish(of_participant text, of_key_type text, of_type text, content jsonb, of_run uuid, to_whom text); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.publish(of_participant text, of_key_type text, of_type text, content jsonb, of_run uuid, to_whom text) FROM PUBLIC;


--
-- Name: FUNCTION queue_keys(of_source text, refs dict.key_ref[], were_missed boolean); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.queue_keys(of_source text, refs dict.key_ref[], were_missed boolean) FROM PUBLIC;


--
-- Name: FUNCTION recalculate_vsync(of_participant text, of_key_type text, OUT entries bigint, OUT vsync text, OUT kept_vsync text, OUT repaired_buckets integer); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.recalculate_vsync(of_participant text, of_key_type text, OUT entries bigint, OUT vsync text, OUT kept_vsync text, OUT repaired_buckets integer) FROM PUBLIC;


--
-- Name: FUNCTION reconciliation_closed(); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.reconciliation_closed() FROM PUBLIC;


--
-- Name: FUNCTION refeed(of_source text, refs dict.key_ref[]); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.refeed(of_source text, refs dict.key_ref[]) FROM PUBLIC;


--
-- Name: FUNCTION register_local_only(run uuid, keys text[], by_whom text, reason text, set_hash text); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.register_local_only(run uuid, keys text[], by_whom text, reason text, set_hash text) FROM PUBLIC;


--
-- Name: FUNCTION reject_reconciliation(run uuid, by_whom text, reason text, set_hash text); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.reject_reconciliation(run uuid, by_whom text, reason text, set_hash text) FROM PUBLIC;


--
-- Name: FUNCTION release_keys(by_whom text, participant text, key_types text[], key text, undo_run uuid); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.release_keys(by_whom text, participant text, key_types text[], key text, undo_run uuid) FROM PUBLIC;


--
-- Name: FUNCTION remove_expired_audit(older_than interval, most integer); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.remove_expired_audit(older_than interval, most integer) FROM PUBLIC;


--
-- Name: FUNCTION remove_unsure(run uuid, keys text[], by_whom text, reason text); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.remove_unsure(run uuid, keys text[], by_whom text, reason text) FROM PUBLIC;


--
-- Name: FUNCTION retries_due(); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.retries_due() FROM PUBLIC;


--
-- Name: FUNCTION retry_outbox(messages uuid[]); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.retry_outbox(messages uuid[]) FROM PUBLIC;


--
-- Name: FUNCTION seed_rate_limit(of_participant text, of_policy text, of_capacity integer, of_refill integer, of_period interval, available integer, overwrite boolean); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.seed_rate_limit(of_participant text, of_policy text, of_capacity integer, of_refill integer, of_period interval, available integer, overwrite boolean) FROM PUBLIC;


--
-- Name: FUNCTION source_of(of_participant text); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.source_of(of_participant text) FROM PUBLIC;


--
-- Name: FUNCTION start_reconciliation(participant text, key_types text[]); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.start_reconciliation(participant text, key_types text[]) FROM PUBLIC;


--
-- Name: FUNCTION start_retries(); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.start_retries() FROM PUBLIC;


--
-- Name: FUNCTION start_undo(run uuid, by_whom text, reason text); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.start_undo(run uuid, by_whom text, reason text) FROM PUBLIC;


--
-- Name: FUNCTION start_verification(participant text, key_types text[]); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.start_verification(participant text, key_types text[]) FROM PUBLIC;


--
-- Name: FUNCTION take_token(of_participant text, of_policy text, OUT taken boolean, OUT retry_at timestamp with time zone); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.take_token(of_participant text, of_policy text, OUT taken boolean, OUT retry_at timestamp with time zone) FROM PUBLIC;


--
-- Name: FUNCTION undo_closed(); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.undo_closed() FROM PUBLIC;


--
-- Name: FUNCTION verification_closed(); Type: ACL; Schema: dict; Owner: postgres
--

REVOKE ALL ON FUNCTION dict.verification_closed() FROM PUBLIC;


--
-- Name: FUNCTION add_first_jobs(run_ids uuid[], tasks text[]); Type: ACL; Schema: workflow; Owner: postgres
--

REVOKE ALL ON FUNCTION workflow.add_first_jobs(run_ids uuid[], tasks text[]) FROM PUBLIC;


--
-- Name: FUNCTION add_job(run_id uuid, task text, due timestamp with time zone, key_prefix text); Type: ACL; Schema: workflow; Owner: postgres
--

REVOKE ALL ON FUNCTION workflow.add_job(run_id uuid, task text, due timestamp with time zone, key_prefix text) FROM PUBLIC;


--
-- Name: FUNCTION assert_claim(run_id uuid, run_version bigint, worker text); Type: ACL; Schema: workflow; Owner: postgres
--

REVOKE ALL ON FUNCTION workflow.assert_claim(run_id uuid, run_version bigint, worker text) FROM PUBLIC;


--
-- Name: FUNCTION cancel(run uuid, by_whom text, why text); Type: ACL; Schema: workflow; Owner: postgres
--

REVOKE ALL ON FUNCTION workflow.cancel(run uuid, by_whom text, why text) FROM PUBLIC;


--
-- Name: FUNCTION claim(run_id uuid, worker text); Type: ACL; Schema: workflow; Owner: postgres
--

REVOKE ALL ON FUNCTION workflow.claim(run_id uuid, worker text) FROM PUBLIC;


--
-- Name: FUNCTION claim_many(run_ids uuid[], worker text); Type: ACL; Schema: workflow; Owner: postgres
--

REVOKE ALL ON FUNCTION workflow.claim_many(run_ids uuid[], worker text) FROM PUBLIC;


--
-- Name: FUNCTION complete_many(worker text, steps jsonb, stay boolean); Type: ACL; Schema: workflow; Owner: postgres
--

REVOKE ALL ON FUNCTION workflow.complete_many(worker text, steps jsonb, stay boolean) FROM PUBLIC;


--
-- Name: FUNCTION complete_step(run_id uuid, run_version bigint, worker text, result jsonb, stay boolean); Type: ACL; Schema: workflow; Owner: postgres
--

REVOKE ALL ON FUNCTION workflow.complete_step(run_id uuid, run_version bigint, worker text, result jsonb, stay boolean) FROM PUBLIC;


--
-- Name: FUNCTION fail_step(run_id uuid, run_version bigint, worker text, error jsonb, stay boolean); Type: ACL; Schema: workflow; Owner: postgres
--

REVOKE ALL ON FUNCTION workflow.fail_step(run_id uuid, run_version bigint, worker text, error jsonb, stay boolean) FROM PUBLIC;


--
-- Name: FUNCTION find_run(name text); Type: ACL; Schema: workflow; Owner: postgres
--

REVOKE ALL ON FUNCTION workflow.find_run(name text) FROM PUBLIC;


--
-- Name: FUNCTION hand_over(run_id uuid, run_version bigint, worker text); Type: ACL; Schema: workflow; Owner: postgres
--

REVOKE ALL ON FUNCTION workflow.hand_over(run_id uuid, run_version bigint, worker text) FROM PUBLIC;


--
-- Name: FUNCTION heartbeat(worker text, graphile_pools text[]); Type: ACL; Schema: workflow; Owner: postgres
--

REVOKE ALL ON FUNCTION workflow.heartbeat(worker text, graphile_pools text[]) FROM PUBLIC;


--
-- Name: FUNCTION release_step(run_id uuid, run_version bigint, worker text); Type: ACL; Schema: workflow; Owner: postgres
--

REVOKE ALL ON FUNCTION workflow.release_step(run_id uuid, run_version bigint, worker text) FROM PUBLIC;


--
-- Name: FUNCTION remove_expired_runs(older_than interval, most integer); Type: ACL; Schema: workflow; Owner: postgres
--

REVOKE ALL ON FUNCTION workflow.remove_expired_runs(older_than interval, most integer) FROM PUBLIC;


--
-- Name: FUNCTION retry(run uuid, by_whom text, why text); Type: ACL; Schema: workflow; Owner: postgres
--

REVOKE ALL ON FUNCTION workflow.retry(run uuid, by_whom text, why text) FROM PUBLIC;


--
-- Name: FUNCTION signal(run_id uuid, signal_name text, payload jsonb, by_whom text, why text); Type: ACL; Schema: workflow; Owner: postgres
--

REVOKE ALL ON FUNCTION workflow.signal(run_id uuid, signal_name text, payload jsonb, by_whom text, why text) FROM PUBLIC;


--
-- Name: FUNCTION start_run(machine_name text, key text, run_input jsonb, by_whom text, correlation text, parent uuid, close_policy text, continues uuid); Type: ACL; Schema: workflow; Owner: postgres
--

REVOKE ALL ON FUNCTION workflow.start_run(machine_name text, key text, run_input jsonb, by_whom text, correlation text, parent uuid, close_policy text, continues uuid) FROM PUBLIC;


--
-- Name: FUNCTION start_runs(runs jsonb, by_whom text); Type: ACL; Schema: workflow; Owner: postgres
--

REVOKE ALL ON FUNCTION workflow.start_runs(runs jsonb, by_whom text) FROM PUBLIC;


--
-- Name: FUNCTION sweep(); Type: ACL; Schema: workflow; Owner: postgres
--

REVOKE ALL ON FUNCTION workflow.sweep() FROM PUBLIC;


--
-- Name: FUNCTION take_tick(schedule_name text, ticks timestamp with time zone[], newest_age interval); Type: ACL; Schema: workflow; Owner: postgres
--

REVOKE ALL ON FUNCTION workflow.take_tick(schedule_name text, ticks timestamp with time zone[], newest_age interval) FROM PUBLIC;


--
-- Name: FUNCTION unlock_jobs(graphile_pools text[]); Type: ACL; Schema: workflow; Owner: postgres
--

REVOKE ALL ON FUNCTION workflow.unlock_jobs(graphile_pools text[]) FROM PUBLIC;


--
-- Name: FUNCTION waits_for(run_id uuid, signal_name text); Type: ACL; Schema: workflow; Owner: postgres
--

REVOKE ALL ON FUNCTION workflow.waits_for(run_id uuid, signal_name text) FROM PUBLIC;


--
-- Name: FUNCTION wake_awaiting(); Type: ACL; Schema: workflow; Owner: postgres
--

REVOKE ALL ON FUNCTION workflow.wake_awaiting() FROM PUBLIC;


--
-- PostgreSQL database dump complete
--
