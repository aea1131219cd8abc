import { undoActivity } from '../src/workflows/define-activity.ts';
import { closeUndo } from '../src/dict/repair/undo.ts';
import { publish, readPublished } from '../src/notify/index.ts';

/** Ends the undo's row and tells Core-Dict what it came to. The changes themselves were told as they were made. */
export default undoActivity<'published'>(async ({ run, input, log }) => {
  const { participant, keyType } = input;
  return async (tx) => {
    const summary = await closeUndo(tx, run.id);
    if (summary !== undefined) {
      await publish(tx, participant, keyType, run.id, {
        type: 'undo.done',
        content: { runId: run.id, summary, ...(await readPublished(tx, run.id)) },
      });
      log.info({ undone: summary.keysUndone, left: summary.keysLeft }, 'undo ended');
    }
    return { outcome: 'published' };
  };
});
