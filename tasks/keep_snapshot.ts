import { reconciliationActivity } from '../src/workflows/define-activity.ts';
import { openRound } from '../src/dict/log/reconciliation-log.ts';

/**
 * Begins a round: keeps pg_current_snapshot() before the CID file is asked for. A key that changes after it is in
 * flight and never touched by this round's repair.
 */
export default reconciliationActivity<'kept'>(async ({ run }, { settings }) => async (tx) => {
  const round = await openRound(tx, run.id, settings.IN_FLIGHT_MARGIN_SECONDS);
  return { outcome: 'kept', context: { round }, detail: { round } };
});
