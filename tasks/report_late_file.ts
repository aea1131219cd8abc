import { activity } from '../src/activity.ts';
import { DvError } from '../src/errors.ts';

/** The CID file did not come in time: ends the reconciliation with that reason. */
export default activity<never>(async () => {
  throw new DvError(
    'DV_FILE_LATE',
    'DICT did not make the CID file within 10 minutes. Files stuck in REQUESTED are known: retry the run, which asks for another.',
  );
});
