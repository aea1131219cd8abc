import { undoActivity } from '../src/workflows/define-activity.ts';
import { undoChanges } from '../src/dict/repair/undo.ts';
import { publishUndone } from '../src/notify/index.ts';

/** Keys put back a step: each its own transaction, none long. */
const CHUNK = 200;

/**
 * Puts back what a reconciliation changed, in chunks: in one transaction the keys, what became of each, their hold, and
 * what Core-Dict hears of it.
 */
export default undoActivity<'again' | 'undone'>(async ({ run, input, log }) => {
  const { participant, keyType, run: runId } = input;
  return async (tx) => {
    const keys = await undoChanges(tx, { undoRunId: run.id, runId, participant, keyType }, CHUNK);
    if (keys.length === 0) return { outcome: 'undone' };
    await publishUndone(tx, { runId: run.id, undoneRun: runId, participant, keyType }, keys);
    const undone = keys.filter(({ result }) => result === 'UNDONE').length;
    const detail = { undone, left: keys.length - undone };
    log.info(detail, 'undid a chunk');
    return { outcome: 'again', detail };
  };
});
