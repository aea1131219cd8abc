import { undoActivity } from '../src/workflows/define-activity.ts';
import { closeUndo } from '../src/dict/repair/undo.ts';
import { publishUndoDone } from '../src/notify/index.ts';

/** Closes the undo's row and publishes its result. The changes themselves were published as they were made. */
export default undoActivity<'published'>(async ({ run, log }) => {
  return async (tx) => {
    const summary = await closeUndo(tx, run.id);
    await publishUndoDone(tx, run.id);
    log.info({ undone: summary.keysUndone, left: summary.keysLeft }, 'undo ended');
    return { outcome: 'published' };
  };
});
