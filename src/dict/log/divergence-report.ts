import { DvError } from '../../errors/dv-error.ts';
import { maybeOne } from '../../errors/rows.ts';
import type { ApprovalReason } from './approval-threshold.ts';
import { type ApprovalContext, type Night, readApprovalContext } from './approval-context.ts';
import { type Consequences, consequencesOf } from './consequences.ts';
import {
  DETAIL_COLUMNS,
  detailsOf,
  type DifferingField,
  type DivergenceDetail,
} from './divergence-details.ts';
import type { Entry } from '../entry/entry.ts';
import type { KeyType } from '../entry/key-type.ts';
import { BACEN_POLICIES } from '../rate-limits/bacen-policies.ts';
import type { Side } from '../repair/repair-lookup.ts';
import type { Db } from '../vsync/vsync-store.ts';

const LOOKUPS = BACEN_POLICIES.getEntryByCid;

/** The number of CIDs in a group, and how many of them are not decided yet. */
interface Counted {
  cids: number;
  pending: number;
}

/** Counts by kind. Each divergent CID has one kind: dictOnly + localOnly + changedCids = cids. */
export interface KindCounts extends Counted {
  /** CIDs in DICT only, without a local-only CID of the same key, as far as is known. */
  dictOnly: number;
  /** Those of dictOnly whose key is not known before DICT is asked; some may turn out to be changes. */
  unknownKeys: number;
  /** Local-only CIDs, without a CID of the same key in DICT only, as far as is known. */
  localOnly: number;
  /** Keys that both sides have with different values, if both CIDs are known; and their CIDs, two for each key. */
  changedKeys: number;
  changedCids: number;
}

/** What the repair would do with the pending divergences (Manual §9). */
export interface RepairPlan {
  /** Maximum number of local keys that would be soft-deleted; some may turn out to be halves of changed keys. */
  remove: number;
  /** Keys that are known to need a correction. */
  correct: number;
  /** Other entries fetched from DICT, to be added or corrected. */
  fetch: number;
  /** Maximum number of lookups (getEntryByCid), and the seconds they take with the tokens that DICT's limit has now. */
  lookups: number;
  seconds: number;
}

/** What is planned, by DICT's answers before the set was frozen. */
export interface PlannedKeys {
  add: number;
  correct: number;
  remove: number;
  /** At DICT, by a person's decision. */
  register: number;
  /** CIDs that are left as they are; the report's `left` says why. */
  leave: number;
  /** CIDs about which DICT is asked only after the approval, because there are more than APPROVAL_LOOKUPS_MAX. */
  unasked: number;
}

/** A key to be corrected, or corrected already. */
export interface Correction {
  key: string;
  cid: string;
  differs: DifferingField[];
  before: Partial<Entry> | null;
  after: Partial<Entry> | null;
}

/** A divergence of the sample, with its kind. */
export interface SampledDivergence extends Omit<DivergenceDetail, 'cid' | 'round' | 'keyType'> {
  cid: string;
  kind: Side | 'CHANGED';
}

/** The totals of a report, without personal data. */
export interface DivergenceSummary {
  round: number;
  comparedAt: Date;
  /** How the round found the divergences, and why it used this method. */
  foundBy: 'EVENT_LOG' | 'FILE' | null;
  foundByReason: string | null;
  /** The hash of what is planned (dict.hash_plan), by which a person approves it; null before it was planned. */
  setHash: string | null;
  /** Divergent CIDs of all rounds together, each counted once; compared with the threshold. */
  foundInAllRounds: number;
  /** With more CIDs than this a person must approve; null before the round was planned. */
  threshold: number | null;
  /** Why a person must approve; empty: nobody must, or the round was not planned yet. */
  approvalReasons: ApprovalReason[];
  kinds: KindCounts;
  plan: RepairPlan;
  planned: PlannedKeys;
  /** Keys to be corrected by what differs; a key counts for each part that does. */
  changedFields: Record<DifferingField, number>;
  /** Local keys that would be changed, at most, and their share of the base. */
  share: { keys: number; base: number; percent: number };
  snapshotAt: Date;
  ageSeconds: number;
  deadline: ApprovalContext['deadline'];
  nights: Night[];
  /** What each decision leads to; null when nothing is left to decide. */
  leadsTo: Consequences | null;
}

/** What the person who approves is shown about one comparison of a reconciliation. */
export interface DivergenceReport extends DivergenceSummary {
  runId: string;
  participant: string;
  keyType: KeyType;
  decisions: { side: Side; decision: string; cids: number }[];
  /** By the day when the local base received the CID (Brasília's, YYYY-MM-DD; null: it never had it), oldest first. */
  days: (Counted & { day: string | null })[];
  /** By branch ("" without one; null: not known before DICT is asked). */
  branches: (Counted & { branch: string | null })[];
  /** The ten largest groups of one day and branch. */
  largestGroups: (Counted & { day: string | null; branch: string | null })[];
  /**
   * Twenty, of each kind in turn by ascending CID. A CID is a hash, so they are as good as random, and the same each
   * time.
   */
  sample: SampledDivergence[];
  /** Why CIDs are left as they are, the most frequent reason first. */
  left: { why: string; cids: number }[];
  /** The first 100 keys to be corrected, changes of the owner first. */
  corrections: Correction[];
}

const SAMPLE = 20;
const LARGEST = 10;
const CORRECTIONS = 100;

const grouped = (columns: string, order: string, limit = '') => `
  (select coalesce(json_agg(g), '[]') from (
     select ${columns}, count(*) as cids, count(*) filter (where decision = 'PENDING') as pending
     from marked group by ${columns} order by ${order} ${limit}) g)`;

// One statement, so that all of it reads one snapshot.
const REPORT = `
  with round as materialized (
    select n.participant, n.key_type, o.* from dict.rounds o join dict.reconciliations n using (run_id)
    where o.run_id = $1 and o.compared_at is not null and o.round = coalesce($2, o.round)
    order by o.round desc limit 1),
  detail as materialized (
    select cid, side, decision, planned, key, branch, (came_at at time zone 'America/Sao_Paulo')::date as day
    from (${detailsOf('(select d.* from dict.divergences d where (d.run_id, d.round) = (select run_id, round from round))')}) x),
  -- A window and not a self-join: right after a comparison the planner does not know how many rows these are.
  paired as materialized (
    select detail.*, key is not null and min(side) over same_key <> max(side) over same_key as changed,
      key is not null and decision = 'PENDING' and bool_or(side = 'DICT_ONLY' and decision = 'PENDING') over same_key
        and bool_or(side = 'LOCAL_ONLY' and decision = 'PENDING') over same_key as corrected
    from detail window same_key as (partition by key collate "C")),
  marked as materialized (select paired.*, case when changed then 'CHANGED' else side end as kind from paired),
  corrected as materialized (
    select encode(cid, 'hex') as cid, key, before, after, dict.differing_fields(before, after) as differs
    from (${detailsOf(`(select d.* from dict.divergences d where (d.run_id, d.round) = (select run_id, round from round)
      and d.side = 'DICT_ONLY' and (d.planned = 'CORRECT' or d.decision = 'CORRECTED'))`)}) x),
  sampled as (
    select cid, kind, row_number() over (partition by kind order by cid) as n from marked
    order by n, kind limit ${SAMPLE})
  select o.participant, o.key_type as "keyType", o.round, o.compared_at as "comparedAt", o.found_by as "foundBy", o.found_by_reason as "foundByReason",
    o.set_hash as "setHash", o.approval_threshold::float8 as threshold, o.approval_reasons as "approvalReasons",
    (select count(*) from (select distinct cid, side from dict.divergences where run_id = $1) f)::float8 as "foundInAllRounds",
    (select json_build_object('cids', count(*), 'pending', count(*) filter (where decision = 'PENDING'),
       'dictOnly', count(*) filter (where kind = 'DICT_ONLY'),
       'unknownKeys', count(*) filter (where side = 'DICT_ONLY' and key is null),
       'localOnly', count(*) filter (where kind = 'LOCAL_ONLY'),
       'changedKeys', count(distinct key) filter (where changed),
       'changedCids', count(*) filter (where kind = 'CHANGED')) from marked) as kinds,
    (select json_build_object(
       'remove', count(*) filter (where decision = 'PENDING' and not corrected and side = 'LOCAL_ONLY'),
       'correct', count(distinct key) filter (where corrected),
       'fetch', count(*) filter (where decision = 'PENDING' and not corrected and side = 'DICT_ONLY')) from marked) as plan,
    (select json_build_object(
       'add', count(*) filter (where planned = 'ADD'),
       'correct', count(*) filter (where planned = 'CORRECT' and side = 'DICT_ONLY'),
       'remove', count(*) filter (where planned = 'REMOVE'),
       'register', count(*) filter (where planned = 'REGISTER'),
       'leave', count(*) filter (where planned = 'LEAVE'),
       'unasked', count(*) filter (where planned is null and decision = 'PENDING')) from marked) as planned,
    (select json_object_agg(part, (select count(*) from corrected where part = any (differs)))
     from unnest(array['owner', 'name', 'branch', 'account', 'registration']) part) as "changedFields",
    (select coalesce(json_agg(g), '[]') from (
       select coalesce(d.why, d.finding ->> 'why', case when d.side = 'DICT_ONLY' and d.finding ->> 'says' = 'ABSENT'
         then 'DICT no longer has this CID' else 'the key has changed meanwhile, or is held' end) as why, count(*) as cids
       from dict.divergences d where d.run_id = o.run_id and d.round = o.round and d.planned = 'LEAVE'
       group by 1 order by 2 desc, 1 limit ${LARGEST}) g) as "left",
    (select coalesce(json_agg(g), '[]') from (
       select key, cid, differs, before, after from corrected
       order by 'owner' = any (differs) desc, cid limit ${CORRECTIONS}) g) as corrections,
    (select coalesce(json_agg(g), '[]') from (
       select side, decision, count(*) as cids from marked group by 1, 2 order by 1, 2) g) as decisions,
    ${grouped('day', 'day')} as days,
    ${grouped('branch', 'count(*) desc, branch')} as branches,
    ${grouped('day, branch', 'count(*) desc, day, branch', `limit ${LARGEST}`)} as "largestGroups",
    (select coalesce(json_agg(json_build_object('cid', encode(cid, 'hex'), 'kind', kind) order by n, kind), '[]')
     from sampled) as sample
  from round o`;

const SAMPLED = `
  select ${DETAIL_COLUMNS} from (${detailsOf('(select * from dict.divergences where run_id = $1 and round = $2 and cid = any ($3))')}) x`;

type ReportRow = Omit<
  DivergenceReport,
  'runId' | 'plan' | 'sample' | 'share' | 'leadsTo' | keyof ApprovalContext
> & {
  plan: Pick<RepairPlan, 'remove' | 'correct' | 'fetch'>;
  sample: Pick<SampledDivergence, 'cid' | 'kind'>[];
};

/**
 * The report on a comparison of a reconciliation: of `round`, or else of its last one. It is aggregated in Postgres and
 * takes about four seconds for 100,000 divergences. DV_REPORT_MISSING when there is no such comparison, or it has not
 * ended.
 */
export async function readDivergenceReport(db: Db, runId: string, round?: number): Promise<DivergenceReport> {
  const { rows } = await db.query<ReportRow>(REPORT, [runId, round ?? null]);
  const row = maybeOne(rows);
  if (row === undefined) throw reportMissing(runId, round);
  const { base, ...context } = await readApprovalContext(db, runId, row.round);
  return {
    runId,
    ...row,
    ...context,
    plan: { ...row.plan, ...(await estimate(db, row.participant, row.plan)) },
    share: shareOf(row, base),
    leadsTo:
      row.kinds.pending === 0 ? null : consequencesOf(row.planned, row.kinds.pending, context.deadline),
    sample: await readSample(db, runId, row),
  };
}

/** The last comparison in numbers, without any key, as the notification contains it. */
export async function readDivergenceSummary(db: Db, runId: string): Promise<DivergenceSummary> {
  const {
    runId: _runId,
    participant: _participant,
    keyType: _keyType,
    decisions: _decisions,
    days: _days,
    branches: _branches,
    largestGroups: _largestGroups,
    sample: _sample,
    left: _left,
    corrections: _corrections,
    ...summary
  } = await readDivergenceReport(db, runId);
  return summary;
}

/** Without DICT's answers it is the most that may be changed. */
function shareOf(
  { planned, plan }: Pick<ReportRow, 'planned' | 'plan'>,
  base: number,
): DivergenceReport['share'] {
  const keys =
    planned.unasked > 0
      ? plan.remove + plan.correct + plan.fetch
      : planned.add + planned.correct + planned.remove;
  return { keys, base, percent: base === 0 ? 0 : Math.round((keys / base) * 10_000) / 100 };
}

/** Whether a run has a finished comparison: of `round`, or of any round. */
export async function hasComparison(db: Db, runId: string, round?: number): Promise<boolean> {
  const { rowCount } = await db.query(
    `select from dict.rounds where run_id = $1 and compared_at is not null and round = coalesce($2, round) limit 1`,
    [runId, round ?? null],
  );
  return rowCount === 1;
}

/** DV_REPORT_MISSING. */
export function reportMissing(runId: string, round: number | undefined): DvError {
  const which =
    round === undefined ? 'no comparison that has ended' : `no comparison ${round} that has ended`;
  return new DvError(
    'DV_REPORT_MISSING',
    `Run ${runId} has ${which}. Only reconciliations have comparisons; \`dict-vsync describe\` shows them.`,
  );
}

/** Records the threshold that a round was planned by, and why it needs approval. */
export async function noteApproval(
  tx: Db,
  runId: string,
  round: number,
  threshold: number,
  reasons: readonly ApprovalReason[],
): Promise<void> {
  await tx.query(
    'update dict.rounds set approval_threshold = $3, approval_reasons = $4 where run_id = $1 and round = $2',
    [runId, round, threshold, reasons],
  );
}

/** How long the lookups take within DICT's limits, given the tokens that are available now. */
async function estimate(
  db: Db,
  participant: string,
  { remove, correct, fetch }: ReportRow['plan'],
): Promise<Pick<RepairPlan, 'lookups' | 'seconds'>> {
  // A correction needs no lookup for its other half.
  const lookups = remove + correct + fetch;
  const { rows } = await db.query<{ available: number; refill: number; period: number }>(
    `select least(capacity, tokens + refill_tokens
         * greatest(floor(extract(epoch from workflow.now() - refilled_at) / extract(epoch from refill_period)), 0))::float8 as available,
       refill_tokens as refill, extract(epoch from refill_period)::float8 as period
     from dict.rate_limits where participant = $1 and policy = $2`,
    [participant, LOOKUPS.name],
  );
  // A participant that has not called DICT yet has no token bucket here; it will begin with a full one.
  const bucket = maybeOne(rows) ?? {
    available: LOOKUPS.capacity,
    refill: LOOKUPS.refillTokens,
    period: LOOKUPS.refillPeriodSec,
  };
  const refills = Math.ceil(Math.max(0, lookups - bucket.available) / bucket.refill);
  return { lookups, seconds: refills * bucket.period };
}

async function readSample(db: Db, runId: string, { round, sample }: ReportRow): Promise<SampledDivergence[]> {
  const { rows } = await db.query<DivergenceDetail>(SAMPLED, [
    runId,
    round,
    sample.map(({ cid }) => Buffer.from(cid, 'hex')),
  ]);
  const details = new Map(
    rows.map(({ cid, round: _round, keyType: _keyType, ...detail }) => [cid.toString('hex'), detail]),
  );
  return sample.flatMap(({ cid, kind }) => {
    const detail = details.get(cid);
    return detail === undefined ? [] : [{ cid, kind, ...detail }];
  });
}
