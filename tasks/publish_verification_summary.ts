import { verificationActivity } from '../src/workflows/define-activity.ts';
import { publishVerificationSummary } from '../src/notify/index.ts';

/** Publishes what the verification found and which reconciliations it started. */
export default verificationActivity<'in_sync' | 'out_of_sync' | 'incomplete'>(async ({ run, context }) => {
  const { skipped } = context;
  return async (tx) => {
    const outcome = await publishVerificationSummary(tx, run.id);
    if (outcome === 'IN_SYNC') return { outcome: 'in_sync' };
    if (outcome === 'OUT_OF_SYNC') return { outcome: 'out_of_sync' };
    // A person's retry verifies only the key types that could not be verified.
    return { outcome: 'incomplete', context: { todo: skipped, skipped: [] } };
  };
});
