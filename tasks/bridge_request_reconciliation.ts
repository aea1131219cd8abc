import { activity, type ReconciliationContext, reconciliationInput } from '../src/activity.ts';
import { intendCidFile, noteCidFile } from '../src/dict/reconciliation-log.ts';
import { DvError } from '../src/errors.ts';

/** Files asked for in one round before giving up: DICT gives 40 a day (DICT API 2.6.1, CIDS_FILES_WRITE). */
const FILES_PER_ROUND = 3;

/**
 * Asks DICT for the file of all CIDs (createCidSetFile). DICT takes no idempotency key: the intent is written first,
 * and a crash between the call and its answer costs one file more.
 */
export default activity<'requested'>(async ({ run, signal }, { pool, bridge }) => {
  const { participant, keyType } = reconciliationInput(run.input);
  const { round } = run.context as unknown as ReconciliationContext;
  const intent = await intendCidFile(pool, run.id, round);
  if (intent.given >= FILES_PER_ROUND) {
    throw new DvError(
      'DV_FILE_UNUSABLE',
      `DICT gave ${intent.given} CID files in this round and none was usable; dict.cid_files tells why. Retry the run later.`,
    );
  }
  const file = await bridge.createCidSetFile(
    { participant, keyType },
    { correlationId: run.correlationId, signal },
  );
  return async (tx) => {
    await noteCidFile(tx, intent.id, file);
    return {
      outcome: 'requested',
      context: { file: { row: intent.id, id: file.id } },
      detail: { fileId: file.id, dictCorrelationId: file.correlationId },
    };
  };
});
