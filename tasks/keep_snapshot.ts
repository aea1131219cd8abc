import { reconciliationActivity } from '../src/workflows/define-activity.ts';
import { openRound } from '../src/dict/log/reconciliation-log.ts';

/**
 * Begins a round: saves pg_current_snapshot() before the CID file is requested. A key that changes after it is in
 * flight, and this round's repair never touches it.
 */
export default reconciliationActivity<'kept'>(async ({ run }, { settings }) => async (tx) => {
  const round = await openRound(tx, run.id, settings.IN_FLIGHT_MARGIN_SECONDS);
  return { outcome: 'kept', context: { round }, detail: { round } };
});
