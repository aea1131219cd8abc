import { activity, reconciliationInput } from '../src/activity.ts';
import { readReconciliation } from '../src/dict/reconciliation-log.ts';
import { publish } from '../src/notify/index.ts';

/** Tells Core-Dict that the key type is in sync again, with what it took. The changes themselves were told as they were made. */
export default activity<'published'>(async ({ run }) => {
  const { participant, keyType } = reconciliationInput(run.input);
  return async (tx) => {
    const summary = await readReconciliation(tx, run.id);
    if (summary !== undefined) {
      await publish(tx, participant, keyType, run.id, {
        type: 'reconciliation.complete',
        content: { runId: run.id, summary },
      });
    }
    return { outcome: 'published' };
  };
});
