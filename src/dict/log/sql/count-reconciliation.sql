create or replace function dict.count_reconciliation(run uuid) returns void
language sql as $$
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
comment on function dict.count_reconciliation(uuid) is
  'Updates the counts in the log row of a reconciliation with what is known so far: each CID once, even if several rounds found it.';
