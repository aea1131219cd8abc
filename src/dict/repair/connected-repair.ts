import { DvError } from '../../errors/dv-error.ts';
import { impossible, one } from '../../errors/rows.ts';
import type { Db } from '../vsync/vsync-store.ts';

/** What a repair wants for a key: this entry, or null if the key is to be removed. */
export interface IntendedWrite {
  key: string;
  entry: unknown;
}

/** The source that feeds a participant if its own tables are connected; repairs are then written to these tables. */
export async function sourceOf(tx: Db, participant: string): Promise<string | undefined> {
  const { rows } = await tx.query<{ source: string | null }>('select dict.source_of($1) as source', [
    participant,
  ]);
  return one(rows).source ?? undefined;
}

/**
 * Writes a repair to the participant's own tables, in the caller's transaction, and checks that the feed brought back
 * exactly what was intended: each key with its CID, or removed. The keys' rows in dict.entries must be locked. Errors:
 * DV_SOURCE_FAILED (the apply function raised an error), DV_SOURCE_DISAGREES (the feed brought back something else),
 * DV_SOURCE_BUSY (retryable: the bank changed one of the keys meanwhile).
 */
export async function writeToSource(
  tx: Db,
  source: string,
  scope: { participant: string; keyType: string },
  writes: readonly IntendedWrite[],
  why: string | null,
): Promise<void> {
  if (writes.length === 0) return;
  const { rows } = await tx.query<{ missed: number; disagreeing: number; reason: string | null }>(
    'select missed::float8, disagreeing::float8, reason from dict.apply_to_source($1, $2, $3, $4, $5)',
    [source, scope.participant, scope.keyType, why, JSON.stringify(writes)],
  );
  const { missed, disagreeing, reason } = one(rows);
  if (missed > 0) {
    throw new DvError(
      'DV_SOURCE_BUSY',
      `The bank changed ${missed} keys while they were being repaired. Nothing of this chunk was repaired; the step will be retried.`,
    );
  }
  if (disagreeing > 0) {
    const rejected = reason === null ? '' : ` (dict.feed_rejects says ${reason})`;
    throw new DvError(
      'DV_SOURCE_DISAGREES',
      `After the repair, ${disagreeing} of ${writes.length} keys read back from source ${source} are not what DICT has${rejected}. ` +
        'Nothing of this chunk was repaired. Correct the apply function or the view, then retry the run.',
    );
  }
  // A missing count must not pass as 0.
  if (missed !== 0 || disagreeing !== 0)
    throw impossible('dict.apply_to_source did not count what it wrote.');
}
