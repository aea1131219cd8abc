import { reconciliationActivity } from '../src/workflows/define-activity.ts';
import { openReconciliation, readReconciliation } from '../src/dict/log/reconciliation-log.ts';
import { publish } from '../src/notify/index.ts';

/** Opens the auditor's row with the VSync before the repair, and publishes that a reconciliation has begun. */
export default reconciliationActivity<'opened'>(async ({ run, input }) => {
  const { participant, keyType } = input;
  return async (tx) => {
    await openReconciliation(tx, run.id, participant, keyType);
    const summary = await readReconciliation(tx, run.id);
    if (summary !== undefined) {
      await publish(tx, participant, keyType, run.id, {
        type: 'reconciliation.notification',
        content: { runId: run.id, event: 'STARTED', summary },
      });
    }
    return { outcome: 'opened' };
  };
});
