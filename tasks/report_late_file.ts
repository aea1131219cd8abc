import { stepErrorOf } from '../src/engine/index.ts';
import { DvError } from '../src/errors/dv-error.ts';
import { roundActivity } from '../src/workflows/define-activity.ts';
import { refuseCidFile } from '../src/dict/log/reconciliation-log.ts';

/**
 * The CID file did not become available in time: fails the reconciliation with that reason. A person's retry begins a
 * new round (`anew`). It asks for another file, and it needs a new snapshot because keys have changed.
 */
export default roundActivity<'late' | 'anew'>(async ({ context }) => {
  const { round, withoutFile, file } = context;
  if (withoutFile === round) return { outcome: 'anew' };
  return async (tx) => {
    if (file !== undefined) await refuseCidFile(tx, file.row, 'DV_FILE_LATE');
    return {
      outcome: 'late',
      context: { withoutFile: round },
      error: stepErrorOf(
        new DvError(
          'DV_FILE_LATE',
          'DICT did not make the CID file within 10 minutes. Files are known to get stuck in REQUESTED. Retry the run; it asks for another file.',
        ),
      ),
    };
  };
});
