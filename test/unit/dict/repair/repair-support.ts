import { randomUUID } from 'node:crypto';
import type { Pool } from 'pg';
import type { Bridge } from '../../../../src/bridge/index.ts';
import {
  NO_EVIDENCE_NEEDED,
  readRemovalEvidence,
  type RemovalEvidence,
} from '../../../../src/dict/repair/removal-evidence.ts';
import { computeCid } from '../../../../src/dict/entry/cid.ts';
import type { Entry } from '../../../../src/dict/entry/entry.ts';
import {
  addDivergences,
  openReconciliation,
  openRound,
} from '../../../../src/dict/log/reconciliation-log.ts';
import {
  lookUp,
  type Lookups,
  pendingDivergences,
  type Finding,
} from '../../../../src/dict/repair/repair-lookup.ts';
import { applyFindings, type AppliedChange } from '../../../../src/dict/repair/repair-policy.ts';
import { inTransaction } from '../../../../src/engine/index.ts';
import type { SimulatedDict } from '../../../../src/simulator/index.ts';
import { CALL, bridgeWithDict } from '../../bridge/support.ts';
import { ISPB, forgetAll, insert, stored } from '../entry/entries.ts';

export const KEY_TYPE = 'EMAIL';
export const hex = (entry: Entry) => computeCid(entry).toString('hex');

export interface Divergence {
  side: string;
  cid: string;
  key: string | null;
  decision: string;
  why: string | null;
  before: unknown;
  after: unknown;
  correlationId: string | null;
}

/** A round of a reconciliation about to be repaired: what differed when it was compared is in dict.divergences. */
export interface RepairRound {
  bridge: Bridge;
  dict: SimulatedDict;
  scope: Parameters<typeof applyFindings>[1];
  runId: string;
  round: number;
  /** Asks DICT about what is pending, of one side. */
  find(): Promise<Lookups>;
  apply(findings: readonly Finding[], evidence?: RemovalEvidence): Promise<AppliedChange[]>;
  /** Reads DICT's event log again. */
  evidence(proofFrom?: Date): Promise<RemovalEvidence>;
  /** Looks up and applies until nothing is pending; throws the error that interrupted a lookup. */
  repair(): Promise<AppliedChange[]>;
  /** In order of key and side. */
  divergences(): Promise<Divergence[]>;
  /** "DICT_ONLY ADDED", … in that order. */
  decisions(): Promise<string[]>;
  /** Compares again, in a round of its own. */
  next(): Promise<RepairRound>;
}

/** Seeds DICT and the local base, takes the snapshot, and compares. */
export async function beginRound(
  pool: Pool,
  base: { dict: readonly Entry[]; local: readonly Entry[] },
  options: Parameters<typeof bridgeWithDict>[0] = {},
): Promise<RepairRound> {
  await forgetAll(pool);
  const { bridge, dict } = await bridgeWithDict({ limits: 'off', ...options });
  dict.directory.seed(base.dict);
  await insert(pool, base.local);
  const runId = randomUUID();
  await openReconciliation(pool, runId, ISPB, KEY_TYPE);
  return roundOf(pool, bridge, dict, runId);
}

async function roundOf(pool: Pool, bridge: Bridge, dict: SimulatedDict, runId: string): Promise<RepairRound> {
  const round = await inTransaction(pool, async (tx) => openRound(tx, runId, 0));
  const here = new Set((await stored(pool)).filter(({ removed }) => !removed).map(({ cid }) => cid));
  const there = new Set(dict.directory.set(ISPB, KEY_TYPE).cids());
  await addDivergences(pool, runId, round, [
    ...[...there]
      .filter((cid) => !here.has(cid))
      .map((cid) => ({ side: 'DICT_ONLY', cid: Buffer.from(cid, 'hex') })),
    ...[...here]
      .filter((cid) => !there.has(cid))
      .map((cid) => ({ side: 'LOCAL_ONLY', cid: Buffer.from(cid, 'hex') })),
  ]);

  const scope: RepairRound['scope'] = { runId, round, participant: ISPB, keyType: KEY_TYPE };
  const find = async () =>
    lookUp(pool, bridge, scope, await pendingDivergences(pool, runId, round, 200), CALL);
  const apply = async (findings: readonly Finding[], evidence?: RemovalEvidence) =>
    inTransaction(pool, async (tx) => applyFindings(tx, scope, findings, evidence ?? NO_EVIDENCE_NEEDED));
  const evidence = async (proofFrom?: Date) =>
    readRemovalEvidence(
      pool,
      bridge,
      scope,
      { attempt: 1, enteredAt: new Date(), logUnavailable: false, proofFrom },
      CALL,
    );
  const divergences = async () => {
    const { rows } = await pool.query<Divergence>(
      `select side, encode(cid, 'hex') as cid, key, decision, why, before, after, correlation_id as "correlationId"
       from dict.divergences where run_id = $1 and round = $2 order by key, side, cid`,
      [runId, round],
    );
    return rows;
  };
  return {
    bridge,
    dict,
    scope,
    runId,
    round,
    find,
    apply,
    evidence,
    async repair() {
      const changes: AppliedChange[] = [];
      for (;;) {
        const { findings, brokenOffBy } = await find();
        if (brokenOffBy !== undefined) throw brokenOffBy;
        if (findings.length === 0) return changes;
        const removes = findings.some(({ side, says }) => side === 'LOCAL_ONLY' && says === 'ABSENT');
        changes.push(...(await apply(findings, removes ? await evidence() : undefined)));
      }
    },
    divergences,
    decisions: async () => (await divergences()).map(({ side, decision }) => `${side} ${decision}`),
    next: async () => roundOf(pool, bridge, dict, runId),
  };
}

/** An entry as divergences show it; the date in ISO form, UTC. */
export function shown(entry: Entry): unknown {
  const openingDate = entry.openingDate === null ? null : new Date(entry.openingDate).toISOString();
  return { ...entry, openingDate, cid: hex(entry) };
}

/** What a divergence shows, its date in the same form. */
export function content(before: unknown): unknown {
  const { openingDate, ...rest } = before as Entry;
  return { ...rest, openingDate: openingDate === null ? null : new Date(openingDate).toISOString() };
}
