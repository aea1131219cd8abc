import { one } from '../../errors/rows.ts';
import type { KeyType } from '../entry/key-type.ts';
import type { Db } from '../vsync/vsync-store.ts';
import {
  objectionTo,
  REGISTRATION_REFUSED,
  REGISTRATION_WAS_REFUSED,
  type RemovalEvidence,
} from './removal-evidence.ts';

// Before a set is frozen, DICT is asked about each of its CIDs, and what the repair will do is written beside it. So a
// person approves decisions and not guesses, and a repair that changes a key's owner is recognised before it is made.

type Round = { runId: string; round: number; participant: string; keyType: KeyType };

/** How many divergences of a round are not decided yet; counts no further than `limit` + 1. */
export async function countPending(db: Db, { runId, round }: Round, limit: number): Promise<number> {
  const { rows } = await db.query<{ n: number }>(
    `select count(*)::float8 as n from (
       select from dict.divergences where run_id = $1 and round = $2 and decision = 'PENDING' limit $3) d`,
    [runId, round, limit + 1],
  );
  return one(rows).n;
}

// An entry that changed since the round's snapshot, or whose key is held, is left alone when the plan is applied.
const LEFT = `dict.in_flight(e.changed_xid, e.since, e.changed_why, r)
  or exists (select from dict.held_keys h where h.released_at is null
    and (h.participant, h.key_type, h.key) = (n.participant, n.key_type, f.key))`;

const PLAN_DICT_ONLY = `
  with found as materialized (
    select d.cid, d.finding ->> 'says' as says,
      coalesce(d.key, d.finding #>> '{entry,key}', d.finding ->> 'key', (
        select l.key from dict.cid_log l
        where l.cid = d.cid and l.participant is not distinct from $3 and l.key_type is not distinct from $4
        order by l.id desc limit 1)) as key
    from dict.divergences d
    where d.run_id = $1 and d.round = $2 and d.side = 'DICT_ONLY' and d.decision = 'PENDING')
  update dict.divergences d set key = f.key, planned = case
      when f.says <> 'ENTRY' or ${LEFT} then 'LEAVE'
      when e.key is not null and e.removed_at is null then 'CORRECT'
      else 'ADD' end
  from found f
  join dict.rounds r on (r.run_id, r.round) = ($1, $2)
  join dict.reconciliations n on n.run_id = $1
  left join dict.entries e on (e.participant, e.key_type, e.key) = ($3, $4, f.key)
  where d.run_id = $1 and d.round = $2 and d.cid = f.cid and d.decision = 'PENDING'`;

const PLAN_LOCAL_ONLY = `
  with found as materialized (
    select d.cid, d.finding ->> 'says' as says, d.plan, e.key
    from dict.divergences d
    left join lateral (
      select x.key from dict.entries x
      where x.participant = $3 and x.key_type = $4 and x.cid = d.cid and x.removed_at is null limit 1) e on true
    where d.run_id = $1 and d.round = $2 and d.side = 'LOCAL_ONLY' and d.decision = 'PENDING'),
  other as materialized (
    select key, bool_or(planned = 'CORRECT') as corrected, bool_or(finding ->> 'says' = 'QUARANTINED') as quarantined
    from dict.divergences
    where run_id = $1 and round = $2 and side = 'DICT_ONLY' and key is not null and decision = 'PENDING' group by key)
  update dict.divergences d set key = coalesce(f.key, d.key), planned = case
      when f.key is null or ${LEFT} then 'LEAVE'
      when o.corrected then 'CORRECT'
      when f.says <> 'ABSENT' or o.quarantined then 'LEAVE'
      when f.plan = 'REGISTER' then 'REGISTER'
      else 'REMOVE' end
  from found f
  join dict.rounds r on (r.run_id, r.round) = ($1, $2)
  join dict.reconciliations n on n.run_id = $1
  left join dict.entries e on (e.participant, e.key_type, e.key) = ($3, $4, f.key)
  left join other o on o.key = f.key
  where d.run_id = $1 and d.round = $2 and d.cid = f.cid and d.decision = 'PENDING'`;

/** Writes beside each divergence of a round what the repair will do with it, by DICT's answers. */
export async function planRepair(tx: Db, round: Round, evidence: RemovalEvidence): Promise<void> {
  const scope = [round.runId, round.round, round.participant, round.keyType];
  await tx.query(PLAN_DICT_ONLY, scope);
  await tx.query(PLAN_LOCAL_ONLY, scope);
  const { rows } = await tx.query<{ cid: string; key: string; refused: boolean }>(
    `select encode(d.cid, 'hex') as cid, d.key, ${REGISTRATION_WAS_REFUSED} as refused
     from dict.divergences d join dict.reconciliations n using (run_id)
     where d.run_id = $1 and d.round = $2 and d.decision = 'PENDING' and d.planned = 'REMOVE' and d.plan is null`,
    scope.slice(0, 2),
  );
  const left = rows.flatMap(({ cid, key, refused }) => {
    const why = objectionTo(evidence, cid, key)?.why ?? (refused ? REGISTRATION_REFUSED : undefined);
    return why === undefined ? [] : [{ cid, why }];
  });
  await tx.query(
    `update dict.divergences d set planned = 'LEAVE', why = l.why
     from jsonb_to_recordset($3::jsonb) as l (cid text, why text)
     where d.run_id = $1 and d.round = $2 and d.cid = decode(l.cid, 'hex')`,
    [round.runId, round.round, JSON.stringify(left)],
  );
}

/** The set of a round after it was planned: what would be applied, and the numbers that decide about approval. */
export interface FrozenSet {
  /**
   * Divergent CIDs of all rounds together, each counted once, without held keys; compared with the approval threshold.
   */
  found: number;
  /** CIDs of this round that are still to be decided. */
  pending: number;
  /** Those of `pending` that would be changed and that nobody approved in an earlier round, as they are planned now. */
  unapproved: number;
  /** CIDs of this round about which DICT was not asked before. */
  unasked: number;
  /** Keys that this run changes: planned now, or changed by earlier rounds without an approval. */
  keys: number;
  /** Keys of the participant and key type that other runs changed within 24 hours without an approval. */
  keysOfTheDay: number;
  /** Planned corrections that change the owner (tax id). */
  ownerChanges: number;
  /** Keys that DICT has, as far as is known. */
  base: number;
  setHash: string;
}

const FREEZE = `
  with frozen as (
    update dict.rounds set set_hash = dict.hash_plan($1, $2) where run_id = $1 and round = $2
    returning set_hash, dict_only_cids, local_only_cids)
  select f.set_hash as "setHash",
    (select count(*) from (select distinct cid, side from dict.divergences where run_id = $1 and decision <> 'HELD') d)::float8 as found,
    (select count(*) from dict.divergences where run_id = $1 and round = $2 and decision = 'PENDING')::float8 as pending,
    (select count(*) from dict.divergences
     where run_id = $1 and round = $2 and decision = 'PENDING' and planned is null)::float8 as unasked,
    (select count(*) from dict.divergences d
     where run_id = $1 and round = $2 and decision = 'PENDING' and planned is distinct from 'LEAVE' and not exists (
       select from dict.divergences a join dict.rounds r using (run_id, round)
       where a.run_id = d.run_id and a.cid = d.cid and a.side = d.side and r.approved_at is not null
         and a.planned is not distinct from d.planned and a.key is not distinct from d.key))::float8 as unapproved,
    (select count(*) from dict.divergences where run_id = $1 and round = $2 and decision = 'PENDING'
       and (planned in ('ADD', 'REMOVE') or planned = 'CORRECT' and side = 'DICT_ONLY' or planned is null))::float8 as keys,
    (select greatest(v.entries, v.entries + coalesce(f.dict_only_cids - f.local_only_cids, 0))::float8
     from dict.reconciliations n, dict.vsync(n.participant, n.key_type) v where n.run_id = $1) as base
  from frozen f`;

// Changed without an approval within 24 hours; a run that has waited longer than a week has an approval.
const UNSEEN = `
  select (count(*) filter (where d.run_id = $1))::float8 as here, (count(*) filter (where d.run_id <> $1))::float8 as others
  from dict.reconciliations o
  join dict.reconciliations n on (n.participant, n.key_type) = (o.participant, o.key_type)
    and n.started_at > workflow.now() - interval '8 days'
  join dict.rounds r on r.run_id = n.run_id and r.approved_at is null
  join dict.divergences d on d.run_id = r.run_id and d.round = r.round
    and (d.decision in ('ADDED', 'REMOVED') or d.decision = 'CORRECTED' and d.side = 'DICT_ONLY')
    and d.decided_at > workflow.now() - interval '1 day'
  where o.run_id = $1`;

const OWNER_CHANGES = `
  select count(*)::float8 as n from dict.divergences d
  join dict.reconciliations n using (run_id)
  cross join lateral (
    select e.tax_id_number from dict.entries e
    where e.participant = n.participant and e.key_type = n.key_type and e.key = d.key limit 1) e
  where d.run_id = $1 and d.round = $2 and d.decision = 'PENDING' and d.planned = 'CORRECT' and d.side = 'DICT_ONLY'
    and e.tax_id_number is distinct from d.finding #>> '{entry,taxIdNumber}'`;

/** Freezes a planned round: from now on its set can only become smaller. */
export async function freezeRound(
  tx: Db,
  { runId, round }: Pick<Round, 'runId' | 'round'>,
): Promise<FrozenSet> {
  type Counted = Omit<FrozenSet, 'keysOfTheDay' | 'ownerChanges'>;
  const frozen = one((await tx.query<Counted>(FREEZE, [runId, round])).rows);
  const unseen = one((await tx.query<{ here: number; others: number }>(UNSEEN, [runId])).rows);
  const owners = one((await tx.query<{ n: number }>(OWNER_CHANGES, [runId, round])).rows);
  return {
    ...frozen,
    keys: frozen.keys + unseen.here,
    keysOfTheDay: unseen.others,
    ownerChanges: owners.n,
  };
}
