import { roundActivity } from '../src/workflows/define-activity.ts';
import {
  intendCidFile,
  noteCidFile,
  useCidFile,
  whyUnusable,
  withdrawIntent,
} from '../src/dict/log/cid-files.ts';
import { findEarlierCidFile } from '../src/dict/log/earlier-cid-file.ts';
import { millisecondsUntil } from '../src/dict/rate-limits/rate-limits.ts';
import { crashPoint, stepErrorOf } from '../src/engine/index.ts';
import { DvError } from '../src/errors/dv-error.ts';

/** Files asked for in one round before giving up: DICT gives 40 a day (DICT API 2.6.1, CIDS_FILES_WRITE). */
const FILES_PER_ROUND = 3;

/**
 * Looks first at the CID files that earlier rounds asked for and that were not there in time, then asks DICT for
 * another (createCidSetFile). DICT takes no idempotency key, so the intent is written first; a crash between the call
 * and its answer costs one additional file. If none of the round's files was usable, the run fails (`unusable`), and a
 * person's retry begins a new round (`anew`). While DICT's limit is used up, the run waits for it (`again`).
 */
export default roundActivity<'requested' | 'unusable' | 'anew' | 'again'>(
  async ({ run, input, context, signal, log, fenced }, { pool, bridge, settings }) => {
    const { participant, keyType } = input;
    const { round, withoutFile } = context;
    if (withoutFile === round) return { outcome: 'anew' };
    const call = { correlationId: run.correlationId, signal };
    let intent: Awaited<ReturnType<typeof intendCidFile>> | undefined;
    let file;
    try {
      const maxHours = settings.LATE_FILE_MAX_HOURS;
      const scope = { participant, keyType, maxHours, making: true };
      const earlier = await findEarlierCidFile(pool, bridge, scope, { ...call, log, fenced });
      if (earlier !== undefined) {
        const { row, id, status, askedAt } = earlier;
        log.info({ fileId: id, status, askedAt }, 'uses the CID file that an earlier round asked for');
        return async (tx) => {
          await useCidFile(tx, run.id, round, row);
          return {
            outcome: 'requested',
            context: { file: { row, id } },
            detail: { fileId: id, status, askedAt },
          };
        };
      }
      intent = await fenced(async (tx) => intendCidFile(tx, run.id, round));
      const { id, given } = intent;
      if (given >= FILES_PER_ROUND) {
        return async (tx) => {
          await withdrawIntent(tx, id);
          const why = await whyUnusable(tx, run.id, round);
          return {
            outcome: 'unusable',
            context: { withoutFile: round },
            error: stepErrorOf(
              new DvError(
                'DV_FILE_UNUSABLE',
                `DICT gave ${given} CID files in this round and none was usable (${why}). Retry the run later.`,
              ),
            ),
          };
        };
      }
      crashPoint('file-intended');
      file = await bridge.createCidSetFile({ participant, keyType }, call);
    } catch (error) {
      if (!(error instanceof DvError) || error.class !== 'rate_limited' || error.retryAt === undefined)
        throw error;
      const { code, message, retryAt } = error;
      const unasked = intent?.id;
      // A limit of a day outlasts the attempts of a step, so waiting for it is not a failure.
      log.warn({ code, continuesAt: retryAt }, "DICT's limit is used up; the run waits for it");
      return async (tx) => {
        if (unasked !== undefined) await withdrawIntent(tx, unasked);
        const limit = unasked === undefined ? 'calls of getCidSetFile' : 'CID files a day';
        const at = `${retryAt.toISOString().slice(0, 19)}Z`;
        return {
          outcome: 'again',
          detail: {
            code,
            message,
            continuesAt: retryAt,
            waitsFor: `DICT's limit of ${limit}, which is used up; the run continues at ${at}`,
          },
          wakeAfterMs: await millisecondsUntil(tx, retryAt),
        };
      };
    }
    const requested = file;
    const { id: row } = intent;
    crashPoint('file-requested');
    return async (tx) => {
      await noteCidFile(tx, row, requested);
      await useCidFile(tx, run.id, round, row);
      return {
        outcome: 'requested',
        context: { file: { row, id: requested.id } },
        detail: { fileId: requested.id, dictCorrelationId: requested.correlationId },
        // A file is never available immediately, so the first look waits.
        wakeAfterMs: settings.FILE_POLL_SECONDS * 1000,
      };
    };
  },
);
