create or replace function dict.load_source(name text) returns bigint
language plpgsql set timezone = 'UTC' set datestyle = 'ISO, YMD' as $$
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
comment on function dict.load_source(text) is
  'Makes dict.entries equal to what a source''s view shows, in one transaction, while its writers continue. It may be repeated at any time. Returns how many keys differed, including those that cannot be used. Errors: DV_SOURCE_UNKNOWN, DV_SOURCE_FAILED.';
