import { undoActivity } from '../src/workflows/define-activity.ts';
import { closeUndo } from '../src/dict/repair/undo.ts';
import { publishUndoDone } from '../src/notify/index.ts';

/** Ends the undo's row and tells Core-Dict what it came to. The changes themselves were told as they were made. */
export default undoActivity<'published'>(async ({ run, log }) => {
  return async (tx) => {
    const summary = await closeUndo(tx, run.id);
    await publishUndoDone(tx, run.id);
    log.info({ undone: summary.keysUndone, left: summary.keysLeft }, 'undo ended');
    return { outcome: 'published' };
  };
});
