import { DvError } from '../errors.ts';
import type { Bridge, CallOptions } from '../bridge/index.ts';
import { computeCid } from './cid.ts';
import type { Entry } from './entry.ts';
import type { KeyType } from './key-type.ts';
import type { Db } from './vsync-store.ts';

export type Side = 'DICT_ONLY' | 'LOCAL_ONLY';

export interface PendingDivergence {
  cid: Buffer;
  side: Side;
}

/** What DICT says of a divergent CID, just now. */
export type Finding = { cid: Buffer; side: Side; correlationId: string | null } & (
  | { says: 'ENTRY'; entry: Entry }
  | { says: 'ABSENT' }
  /** DICT's answer cannot be applied; `why` is kept with the divergence, and `key`, when the answer named one. */
  | { says: 'REFUSED'; why: string; key?: string }
);

/**
 * The next divergences of a round that nothing was decided about, of one side: DICT's until all of them are decided.
 * Only then a local CID that DICT doesn't have is known to be no half of a correction; else the key would be removed
 * before it is corrected, as when the lookups break off in between. And a correction saves its other half's lookup.
 */
export async function pendingDivergences(
  db: Db,
  runId: string,
  round: number,
  limit: number,
): Promise<PendingDivergence[]> {
  const { rows } = await db.query<PendingDivergence>(
    `select cid, side from dict.divergences where run_id = $1 and round = $2 and decision = 'PENDING'
       and side = (select min(side) from dict.divergences where run_id = $1 and round = $2 and decision = 'PENDING')
     order by cid limit $3`,
    [runId, round, limit],
  );
  return rows;
}

/** Lookups under way at once: enough to hide the network, few enough for the Bridge. */
const CONCURRENCY = 16;

/**
 * Asks DICT (getEntryByCid) about each CID. Answers what it got; an error that may pass (or a fired signal) ends the
 * asking early and is returned beside the findings, so that nothing fetched is lost.
 */
export async function lookUp(
  bridge: Bridge,
  participant: string,
  keyType: KeyType,
  divergences: readonly PendingDivergence[],
  call: CallOptions,
): Promise<{ findings: Finding[]; brokenOffBy: unknown }> {
  const findings: Finding[] = [];
  const queue = divergences.values();
  let brokenOffBy: unknown;
  const worker = async () => {
    for (const divergence of queue) {
      if (brokenOffBy !== undefined) return;
      try {
        findings.push(await lookUpOne(bridge, participant, keyType, divergence, call));
      } catch (error) {
        brokenOffBy ??= error;
        return;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, divergences.length) }, worker));
  return { findings, brokenOffBy };
}

async function lookUpOne(
  bridge: Bridge,
  participant: string,
  keyType: KeyType,
  { cid, side }: PendingDivergence,
  call: CallOptions,
): Promise<Finding> {
  try {
    const { entry, correlationId } = await bridge.getEntryByCid(
      { participant, cid: cid.toString('hex') },
      call,
    );
    const base = { cid, side, correlationId };
    // Applied only if it is what was asked for: DICT's word for a CID is the CID itself.
    if (!computeCid(entry).equals(cid)) {
      return { ...base, says: 'REFUSED', why: 'the entry DICT sent has another CID', key: entry.key };
    }
    if (entry.participant !== participant || entry.keyType !== keyType) {
      return {
        ...base,
        says: 'REFUSED',
        why: 'the entry DICT sent belongs to another participant or key type',
      };
    }
    return { ...base, says: 'ENTRY', entry };
  } catch (error) {
    if (error instanceof DvError && error.code === 'DV_DICT_NOT_FOUND') {
      return { cid, side, correlationId: error.correlationId ?? null, says: 'ABSENT' };
    }
    throw error;
  }
}
