import { roundActivity } from '../src/workflows/define-activity.ts';
import { intendCidFile, noteCidFile } from '../src/dict/log/reconciliation-log.ts';
import { crashPoint, stepErrorOf } from '../src/engine/index.ts';
import { DvError } from '../src/errors/dv-error.ts';

/** Files asked for in one round before giving up: DICT gives 40 a day (DICT API 2.6.1, CIDS_FILES_WRITE). */
const FILES_PER_ROUND = 3;

/**
 * Asks DICT for the file of all CIDs (createCidSetFile). DICT takes no idempotency key, so the intent is written first;
 * a crash between the call and its answer costs one additional file. If none of the round's files was usable, the run
 * fails (`unusable`), and a person's retry begins a new round (`anew`).
 */
export default roundActivity<'requested' | 'unusable' | 'anew'>(
  async ({ run, input, context, signal, fenced }, { bridge, settings }) => {
    const { participant, keyType } = input;
    const { round, withoutFile } = context;
    if (withoutFile === round) return { outcome: 'anew' };
    const intent = await fenced(async (tx) => intendCidFile(tx, run.id, round));
    if (intent.given >= FILES_PER_ROUND) {
      return async (tx) => {
        // Removed, because an intent without an answer would mean a crash during the call.
        await tx.query('delete from dict.cid_files where id = $1', [intent.id]);
        return {
          outcome: 'unusable',
          context: { withoutFile: round },
          error: stepErrorOf(
            new DvError(
              'DV_FILE_UNUSABLE',
              `DICT gave ${intent.given} CID files in this round and none was usable; dict.cid_files shows why. Retry the run later.`,
            ),
          ),
        };
      };
    }
    crashPoint('file-intended');
    const file = await bridge.createCidSetFile(
      { participant, keyType },
      { correlationId: run.correlationId, signal },
    );
    crashPoint('file-requested');
    return async (tx) => {
      await noteCidFile(tx, intent.id, file);
      return {
        outcome: 'requested',
        context: { file: { row: intent.id, id: file.id } },
        detail: { fileId: file.id, dictCorrelationId: file.correlationId },
        // A file is never available immediately, so the first look waits.
        wakeAfterMs: settings.FILE_POLL_SECONDS * 1000,
      };
    };
  },
);
