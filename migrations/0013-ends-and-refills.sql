-- The log's row of a reconciliation that is ended from outside, statistics of divergences, and the refill of DICT's slow buckets.

-- A reconciliation that is ended from outside ends its row of the log too, and Core-Dict hears of it ----------------------------

create function dict.count_reconciliation(run uuid) returns void
language sql set search_path = pg_catalog, dict as $$
  update dict.reconciliations r set
    dict_only_cids = c.dict_only, local_only_cids = c.local_only, keys_added = c.added, keys_corrected = c.corrected,
    keys_removed = c.removed, keys_registered = c.registered, keys_in_flight = c.in_flight, keys_held = c.held,
    quarantined = c.quarantined
  from (select
      count(distinct cid) filter (where side = 'DICT_ONLY') as dict_only,
      count(distinct cid) filter (where side = 'LOCAL_ONLY') as local_only,
      count(*) filter (where decision = 'ADDED') as added,
      count(*) filter (where decision = 'CORRECTED' and side = 'DICT_ONLY') as corrected,
      count(*) filter (where decision = 'REMOVED') as removed,
      count(*) filter (where decision = 'REGISTERED') as registered,
      count(distinct coalesce(key, encode(cid, 'hex'))) filter (where decision = 'IN_FLIGHT') as in_flight,
      count(distinct key) filter (where decision = 'HELD' and round = l.newest) as held,
      count(distinct cid) filter (where decision = 'QUARANTINED' and round = l.newest) as quarantined
    from dict.divergences d, (select max(round) as newest from dict.rounds where run_id = run) l
    where d.run_id = run) c
  where r.run_id = run
$$;
comment on function dict.count_reconciliation(uuid) is
  'Counts what is known so far into the log row of a reconciliation: each CID once, however many rounds found it.';

create function dict.reconciliation_summary(run uuid) returns jsonb
language sql stable set search_path = pg_catalog, dict as $$
  select jsonb_build_object(
    'participant', participant, 'keyType', key_type, 'outcome', outcome, 'reason', reason, 'rounds', rounds,
    'vsyncBefore', vsync_before, 'vsyncAfter', vsync_after, 'entriesBefore', entries_before, 'entriesAfter', entries_after,
    'dictOnlyCids', dict_only_cids, 'localOnlyCids', local_only_cids, 'keysAdded', keys_added,
    'keysCorrected', keys_corrected, 'keysRemoved', keys_removed, 'keysRegistered', keys_registered,
    'keysInFlight', keys_in_flight, 'keysHeld', keys_held, 'quarantined', quarantined, 'approvedBy', approved_by,
    'setHash', (select set_hash from dict.rounds o where o.run_id = r.run_id order by round desc limit 1))
  from dict.reconciliations r where run_id = run
$$;
comment on function dict.reconciliation_summary(uuid) is
  'A reconciliation as messages to Core-Dict and the CLI show it; null before it opened.';

create function dict.close_reconciliation(run uuid, ended_as text, why text) returns void
language sql set search_path = pg_catalog, dict, workflow as $$
  select dict.count_reconciliation(run);
  update dict.reconciliations r set ended_at = workflow.now(), outcome = ended_as, reason = why,
    vsync_after = v.vsync, entries_after = v.entries
  from dict.reconciliations o, dict.vsync(o.participant, o.key_type) v
  where r.run_id = run and o.run_id = run
$$;
comment on function dict.close_reconciliation(uuid, text, text) is
  'Ends the log row of a reconciliation with its counts and the VSync as it is now.';

create function dict.reconciliation_closed() returns trigger
language plpgsql security definer set search_path = pg_catalog, dict, workflow as $$
declare
  scope dict.reconciliations;
  asked jsonb;
begin
  select * into scope from dict.reconciliations where run_id = new.id;
  -- What the machine ends by itself has ended its row and told Core-Dict in steps of its own.
  if not found or scope.ended_at is not null and new.status not in ('CANCELLED', 'TERMINATED', 'POISONED') then
    return null;
  end if;
  select detail into asked from workflow.history
  where run_id = new.id and event = 'CANCEL_REQUESTED' and new.status = 'CANCELLED' order by id desc limit 1;
  perform dict.close_reconciliation(new.id, new.status, coalesce(
    nullif(concat_ws(': ', 'by ' || (asked ->> 'by'), asked ->> 'reason'), ''),
    nullif(concat_ws(': ', new.error ->> 'code', new.error ->> 'message'), '')));
  perform dict.publish(scope.participant, scope.key_type, 'reconciliation.notification',
    jsonb_strip_nulls(jsonb_build_object('runId', new.id, 'event', new.status, 'code', new.error ->> 'code',
      'pageCount', scope.pages_told, 'changeCount', scope.changes_told,
      'reason', (select reason from dict.reconciliations where run_id = new.id)))
    || jsonb_build_object('summary', dict.reconciliation_summary(new.id)), new.id);
  return null;
end $$;
comment on function dict.reconciliation_closed() is
  'Ends the log row of a reconciliation that was cancelled, terminated or poisoned, or failed while saving its log, in the transaction that closed the run.';
create trigger reconciliation_closed after update of closed_at on workflow.runs
  for each row when (new.machine = 'reconciliation' and old.closed_at is null and new.closed_at is not null)
  execute function dict.reconciliation_closed();

-- Those that ended so before.
select dict.close_reconciliation(w.id, w.status, 'ended from outside, its row closed later')
from workflow.runs w join dict.reconciliations r on r.run_id = w.id
where w.closed_at is not null and r.ended_at is null;

-- Statistics of divergences ----------------------------------------------------------------------------------------------------

create function dict.analyze_divergences() returns void
language plpgsql security definer set search_path = pg_catalog, dict as $$
begin
  -- As the owner: a worker's role may not be. Unlike VACUUM it may stand in a transaction, and sees what that wrote.
  analyze dict.divergences;
end $$;
comment on function dict.analyze_divergences() is
  'Brings the planner''s statistics up to date. Called when a comparison has written many: without them a new run''s divergences are taken for a handful, and joined by reading all for each.';

-- Slow refills ---------------------------------------------------------------------------------------------------------------

create function dict.refill_step(period interval, refill integer, out step interval, out gain integer)
language sql immutable set search_path = pg_catalog as $$
  -- Whole periods only, as DICT refills ("reposição periódica"): what we hope for in between it may not have. But not
  -- a day long: of 40 files a day one is hoped for every 36 minutes, and a 429 costs no more than another such wait.
  select case when slow then period / refill else period end, case when slow then 1 else refill end
  from (select period / refill > interval '1 minute' as slow) x
$$;
comment on function dict.refill_step(interval, integer) is
  'How long the wait for more tokens of a bucket is, and how many come then: the whole refill a period, but one at a time where a token takes more than a minute.';

create or replace function dict.take_token(of_participant text, of_policy text, out taken boolean, out retry_at timestamptz)
language plpgsql security definer set search_path = pg_catalog, dict, workflow as $$
declare
  n timestamptz := workflow.now();
  r dict.rate_limits;
  refill record;
  steps bigint;
begin
  select * into r from dict.rate_limits where participant = of_participant and policy = of_policy for update;
  if not found then
    -- A policy nobody told us about is not limited by us.
    taken := true;
    return;
  end if;
  if r.blocked_until > n then
    taken := false; retry_at := r.blocked_until;
    return;
  end if;
  select * into refill from dict.refill_step(r.refill_period, r.refill_tokens);
  steps := greatest(floor(extract(epoch from n - r.refilled_at) / extract(epoch from refill.step)), 0);
  r.refilled_at := r.refilled_at + steps * refill.step;
  r.tokens := least(r.capacity::bigint, r.tokens + steps * refill.gain);
  taken := r.tokens > 0;
  if taken then
    r.tokens := r.tokens - 1;
  else
    retry_at := r.refilled_at + refill.step;
  end if;
  update dict.rate_limits set tokens = r.tokens, refilled_at = r.refilled_at, blocked_until = null
  where participant = of_participant and policy = of_policy;
end $$;

create or replace function dict.empty_bucket(of_participant text, of_policy text, stay_away interval) returns timestamptz
language sql security definer set search_path = pg_catalog, dict, workflow as $$
  -- DICT knows better: nothing until its next refill, whose phase we don't know, so a whole step from now. Another
  -- call's 429 may have said longer.
  update dict.rate_limits set tokens = 0, refilled_at = workflow.now(),
    blocked_until = greatest(blocked_until, workflow.now() + stay_away)
  where participant = of_participant and policy = of_policy
  returning coalesce(blocked_until, refilled_at + (dict.refill_step(refill_period, refill_tokens)).step)
$$;

revoke execute on function dict.analyze_divergences(), dict.reconciliation_closed() from public;
