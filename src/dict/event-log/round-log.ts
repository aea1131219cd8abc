import type { Bridge, CallOptions } from '../../bridge/index.ts';
import type { DvError } from '../../errors/dv-error.ts';
import { impossible, maybeOne } from '../../errors/rows.ts';
import type { KeyType } from '../entry/key-type.ts';
import type { Db } from '../vsync/vsync-store.ts';
import { type EventLog, readEventLog } from './event-log.ts';
import { type LogPatience, readLogPatiently } from './log-patience.ts';

/** 10,000 events since the snapshot: more than any institution causes in the minutes that a round lasts. */
const PAGES = 50;

/**
 * Reads DICT's event log since the snapshot of a round, and within the margin before it; or says why the round
 * continues without it.
 */
export async function readRoundLog(
  db: Db,
  bridge: Bridge,
  scope: { runId: string; round: number; participant: string; keyType: KeyType },
  patience: LogPatience,
  call: CallOptions,
): Promise<EventLog | DvError> {
  const { runId, round, participant, keyType } = scope;
  const { rows } = await db.query<{ since: Date }>(
    'select margin_starts_at as since from dict.rounds where run_id = $1 and round = $2',
    [runId, round],
  );
  const from = maybeOne(rows)?.since;
  if (from === undefined) throw impossible('The round was never opened.');
  const asked = { participant, keyType, from, maxPages: PAGES };
  return readLogPatiently(db, async () => readEventLog(bridge, asked, call), patience);
}
