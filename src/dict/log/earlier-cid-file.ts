import type { Logger } from 'pino';
import type { Bridge, CallOptions } from '../../bridge/index.ts';
import { DvError } from '../../errors/dv-error.ts';
import type { KeyType } from '../entry/key-type.ts';
import type { Db } from '../vsync/vsync-store.ts';
import { type EarlierCidFile, earlierCidFiles, noteCidFile, refuseCidFile } from './cid-files.ts';

export interface FoundCidFile extends EarlierCidFile {
  status: string;
}

/**
 * The newest CID file of an earlier round that DICT has made by now; with `making`, also a recent one that DICT is
 * making. One in REQUESTED is not waited for again, because files get stuck in it. A look that fails leaves the file
 * out, and for good if it cannot succeed later: an old file stops nothing.
 * Errors: only DV_DICT_RATE_LIMITED.
 */
export async function findEarlierCidFile(
  db: Db,
  bridge: Bridge,
  scope: { participant: string; keyType: KeyType; maxHours: number; making: boolean },
  { log, fenced, ...call }: CallOptions & { log: Logger; fenced: Fenced },
): Promise<FoundCidFile | undefined> {
  const { participant, keyType, maxHours, making } = scope;
  let wait: FoundCidFile | undefined;
  for (const file of await earlierCidFiles(db, participant, keyType, maxHours)) {
    try {
      const answer = await bridge.getCidSetFile({ participant, id: file.id }, call);
      const named = answer.unknownStatus ?? answer.status;
      await fenced(async (tx) => noteCidFile(tx, file.row, { ...answer, status: named }));
      const { status } = answer;
      if (status === 'AVAILABLE') return { ...file, status };
      const unfinished = !['REQUESTED', 'ERROR', 'UNAVAILABLE'].includes(status);
      if (making && file.recent && unfinished) wait ??= { ...file, status };
    } catch (error) {
      if (!(error instanceof DvError) || error.class === 'rate_limited') throw error;
      const { code } = error;
      log.warn({ fileId: file.id, code }, 'DICT does not show the CID file of an earlier round');
      if (error.class === 'not_retryable') await fenced(async (tx) => refuseCidFile(tx, file.row, code));
    }
  }
  return wait;
}

type Fenced = (write: (tx: Db) => Promise<void>) => Promise<void>;
