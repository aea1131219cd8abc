import type { Bridge, SyncVerification } from '../../bridge/index.ts';
import { crashPoint } from '../../engine/index.ts';
import { DvError } from '../../errors/dv-error.ts';
import { one } from '../../errors/rows.ts';
import type { KeyType } from '../entry/key-type.ts';
import type { Db } from './vsync-store.ts';

export interface SentVSync {
  /** Row of dict.sync_verifications. */
  id: string;
  vsync: string;
  entries: number;
  answer: SyncVerification;
}

/**
 * Reads the VSync from the local base and sends it to DICT (createSyncVerification). The row of
 * dict.sync_verifications is written before the call; completeSyncVerification completes it within the caller's
 * transaction. Each call reads the VSync again. Errors of the Bridge are recorded in the row and rethrown.
 */
export async function sendVSync(
  db: Db,
  bridge: Bridge,
  asked: {
    runId: string;
    purpose: 'VERIFICATION' | 'CONFIRMATION';
    participant: string;
    keyType: KeyType;
    correlationId: string;
    signal: AbortSignal;
  },
): Promise<SentVSync> {
  const { participant, keyType } = asked;
  const { rows } = await db.query<{ id: string; vsync: string; entries: string }>(
    `insert into dict.sync_verifications (run_id, purpose, participant, key_type, vsync, entries, asked_at)
     select $1, $2, $3, $4, vsync, entries, workflow.now() from dict.vsync($3, $4)
     returning id, vsync, entries`,
    [asked.runId, asked.purpose, participant, keyType],
  );
  const row = one(rows);
  crashPoint('vsync-intended');
  try {
    const answer = await bridge.createSyncVerification(
      { participant, keyType, vsync: row.vsync },
      { correlationId: asked.correlationId, signal: asked.signal },
    );
    crashPoint('vsync-answered');
    return { id: row.id, vsync: row.vsync, entries: Number(row.entries), answer };
  } catch (error) {
    const [code, correlationId] =
      error instanceof DvError ? [error.code, error.correlationId] : ['DV_UNEXPECTED', undefined];
    await db.query(
      `update dict.sync_verifications
       set result = 'ERROR', error_code = $2, correlation_id = $3, answered_at = workflow.now() where id = $1`,
      [row.id, code, correlationId ?? null],
    );
    throw error;
  }
}

/** Writes DICT's answer into its row. */
export async function completeSyncVerification(tx: Db, { id, answer }: SentVSync): Promise<void> {
  await tx.query(
    `update dict.sync_verifications set result = $2, dict_id = $3, correlation_id = $4, answered_at = workflow.now()
     where id = $1`,
    [id, answer.result, answer.id, answer.correlationId],
  );
}
