import { openingVerificationActivity } from '../src/workflows/define-activity.ts';
import { typesToScan } from '../src/dict/vsync/vsync-store.ts';

/**
 * Checks all VSyncs of a verification before any of them is sent. Those without a full scan within SCAN_MAX_AGE_HOURS
 * are recalculated first, so that a wrong base is never confirmed from stale buckets.
 */
export default openingVerificationActivity<'scan_first' | 'read'>(async ({ input }, { pool, settings }) => {
  const { participant, keyTypes } = input;
  const toScan = await typesToScan(pool, participant, keyTypes, settings.SCAN_MAX_AGE_HOURS);
  return {
    outcome: toScan.length > 0 ? 'scan_first' : 'read',
    context: { toScan, todo: keyTypes, skipped: [], results: {} },
  };
});
