import { stepErrorOf } from '../src/engine/index.ts';
import { DvError } from '../src/errors/dv-error.ts';
import { activity, type ReconciliationContext } from '../src/workflows/activity-types.ts';
import { refuseCidFile } from '../src/dict/log/reconciliation-log.ts';

/**
 * The CID file did not come in time: ends the reconciliation with that reason. A person's retry begins a new round
 * (`anew`): it asks for another file, and keys changed meanwhile need a fresh snapshot.
 */
export default activity<'late' | 'anew'>(async ({ run }) => {
  const { round, withoutFile, file } = run.context as unknown as ReconciliationContext & {
    withoutFile?: number;
  };
  if (withoutFile === round) return { outcome: 'anew' };
  return async (tx) => {
    if (file !== undefined) await refuseCidFile(tx, file.row, 'DV_FILE_LATE');
    return {
      outcome: 'late',
      context: { withoutFile: round },
      error: stepErrorOf(
        new DvError(
          'DV_FILE_LATE',
          'DICT did not make the CID file within 10 minutes. Files stuck in REQUESTED are known: retry the run, which asks for another.',
        ),
      ),
    };
  };
});
