create or replace function dict.process_feed_queue(most integer default 1000) returns integer
language plpgsql security definer set timezone = 'UTC' set datestyle = 'ISO, YMD' set lock_timeout = '1ms' as $$
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
comment on function dict.process_feed_queue(integer) is
  'Reads up to `most` queued keys of each source again; returns how many. Workers call it all the time; it is safe at any moment.';
