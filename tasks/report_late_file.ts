import { stepErrorOf } from '../src/engine/index.ts';
import { DvError } from '../src/errors/dv-error.ts';
import { roundActivity } from '../src/workflows/define-activity.ts';
import { useCidFile } from '../src/dict/log/cid-files.ts';
import { type FoundCidFile, findEarlierCidFile } from '../src/dict/log/earlier-cid-file.ts';

/**
 * The CID file did not become available in time. If DICT has made another one meanwhile, which an earlier round asked
 * for, that is used (`found`). Otherwise the reconciliation fails with that reason. A person's retry begins a new round
 * (`anew`): it looks at the late file first, and it needs a new snapshot in case it must ask for another.
 */
export default roundActivity<'late' | 'found' | 'anew'>(
  async ({ run, input, context, signal, log, fenced }, { pool, bridge, settings }) => {
    const { participant, keyType } = input;
    const { round, withoutFile } = context;
    if (withoutFile === round) return { outcome: 'anew' };
    const { FILE_WAIT_MINUTES: minutes, LATE_FILE_MAX_HOURS: maxHours } = settings;
    let earlier: FoundCidFile | undefined;
    try {
      const scope = { participant, keyType, maxHours, making: false };
      const call = { correlationId: run.correlationId, signal, log, fenced };
      earlier = await findEarlierCidFile(pool, bridge, scope, call);
    } catch (error) {
      // Out of looks for now. The next round looks again.
      if (!(error instanceof DvError) || error.class !== 'rate_limited') throw error;
    }
    if (earlier !== undefined) {
      const { row, id, status, askedAt } = earlier;
      log.info({ fileId: id, status, askedAt }, 'uses the CID file that an earlier round asked for');
      return async (tx) => {
        await useCidFile(tx, run.id, round, row);
        return { outcome: 'found', context: { file: { row, id } }, detail: { fileId: id, status, askedAt } };
      };
    }
    return {
      outcome: 'late',
      context: { withoutFile: round },
      error: stepErrorOf(
        new DvError(
          'DV_FILE_LATE',
          `DICT did not make the CID file within ${minutes} minutes. Files are known to get stuck in REQUESTED. Retry the run later: it looks at this file first and then asks for another.`,
        ),
      ),
    };
  },
);
