import { openingVerificationActivity } from '../src/workflows/define-activity.ts';
import { typesToScan } from '../src/dict/vsync/vsync-store.ts';

/**
 * Looks at all VSyncs of a verification before any is sent: those not scanned within SCAN_MAX_AGE_HOURS are
 * recalculated first, so that a wrong base is never certified from stale buckets.
 */
export default openingVerificationActivity<'scan_first' | 'read'>(async ({ input }, { pool, settings }) => {
  const { participant, keyTypes } = input;
  const toScan = await typesToScan(pool, participant, keyTypes, settings.SCAN_MAX_AGE_HOURS);
  return {
    outcome: toScan.length > 0 ? 'scan_first' : 'read',
    context: { toScan, todo: keyTypes, skipped: [], results: {} },
  };
});
