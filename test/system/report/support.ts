import { randomUUID } from 'node:crypto';
import type { Pool } from 'pg';
import { computeCid } from '../../../src/dict/entry/cid.ts';
import type { Entry } from '../../../src/dict/entry/entry.ts';
import {
  addDivergences,
  openReconciliation,
  openRound,
  recordFindings,
} from '../../../src/dict/log/reconciliation-log.ts';
import { freezeRound } from '../../../src/dict/repair/repair-plan.ts';
import { forgetAll, insert, ISPB } from '../../unit/dict/entry/entries.ts';
import { keys } from '../../support/key-base.ts';

export const KEY_TYPE = 'EMAIL';
export const cidOf = (entry: Entry): Buffer => computeCid(entry);

/** What a test knows of a divergence that it made. */
export interface Known {
  cid: Buffer;
  side: 'DICT_ONLY' | 'LOCAL_ONLY';
  decision: string;
  key: string | null;
  branch: string | null;
  day: string | null;
}

/** A reconciliation about to be compared, on a key base of its own. */
export async function openRun(pool: Pool): Promise<{ runId: string; round: number }> {
  const runId = randomUUID();
  await openReconciliation(pool, runId, ISPB, KEY_TYPE);
  return { runId, round: await openRound(pool, runId, 0) };
}

/** Writes down what a comparison found and freezes it; then makes the decisions that are not PENDING. */
export async function found(
  pool: Pool,
  { runId, round }: { runId: string; round: number },
  divergences: readonly Pick<Known, 'cid' | 'side' | 'decision'>[],
): Promise<string> {
  await addDivergences(pool, runId, round, divergences);
  const dictOnly = divergences.filter(({ side }) => side === 'DICT_ONLY').length;
  await recordFindings(pool, runId, round, {
    foundBy: 'FILE',
    foundByReason: 'no VSync was confirmed yet',
    dictOnly,
    localOnly: divergences.length - dictOnly,
  });
  const decided = divergences.filter(({ decision }) => decision !== 'PENDING');
  await pool.query(
    `update dict.divergences d set decision = x.decision, why = 'a test says so'
     from unnest($3::bytea[], $4::text[]) x (cid, decision) where run_id = $1 and round = $2 and d.cid = x.cid`,
    [runId, round, decided.map(({ cid }) => cid), decided.map(({ decision }) => decision)],
  );
  return (await freezeRound(pool, { runId, round })).setHash;
}

/** DICT's answer about a CID, as a lookup keeps it. */
export async function answered(
  pool: Pool,
  { runId, round }: { runId: string; round: number },
  entry: Entry,
): Promise<void> {
  await pool.query(
    `update dict.divergences set finding = $4, found_at = workflow.now() where run_id = $1 and round = $2 and cid = $3`,
    [
      runId,
      round,
      cidOf(entry),
      JSON.stringify({ says: 'ENTRY', entry, correlationId: randomUUID().replaceAll('-', '') }),
    ],
  );
}

/** A local base of these entries, each with the moment at which it came. */
export async function seedLocal(
  pool: Pool,
  entries: readonly { entry: Entry; since: string }[],
): Promise<void> {
  await forgetAll(pool);
  await insert(
    pool,
    entries.map(({ entry }) => entry),
  );
  await pool.query(
    `update dict.entries e set since = x.since from unnest($1::text[], $2::timestamptz[]) x (key, since) where e.key = x.key`,
    [entries.map(({ entry }) => entry.key), entries.map(({ since }) => since)],
  );
}

/** The keys from which tests take theirs. */
export const POOL = keys(KEY_TYPE, 60);
/** In Brasília the second moment is still in the first of the month. */
export const MOMENTS = [
  { since: '2026-01-01T15:00:00Z', day: '2026-01-01' },
  { since: '2026-01-02T02:59:59Z', day: '2026-01-01' },
  { since: '2026-01-02T03:00:00Z', day: '2026-01-02' },
];
/** The moment of a later change. */
export const UPDATED = { since: '2026-02-03T12:00:00Z', day: '2026-02-03' };
