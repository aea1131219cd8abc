create or replace function dict.apply_to_source(of_source text, of_participant text, of_key_type text, of_why text, writes jsonb,
  out missed bigint, out disagreeing bigint, out reason text)
language plpgsql set timezone = 'UTC' set datestyle = 'ISO, YMD' set lock_timeout = '200ms' as $$
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
end $$;
comment on function dict.apply_to_source(text, text, text, text, jsonb) is
  'Writes repairs ([{key, entry}]; entry null: remove) through a source''s apply function, with the caller''s rights, and reads the keys back. Returns how many changed meanwhile, how many are not as intended, and the reason of a reject. Errors: DV_SOURCE_UNKNOWN, DV_SOURCE_FAILED.';
