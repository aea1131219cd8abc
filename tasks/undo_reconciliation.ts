import { undoActivity } from '../src/workflows/define-activity.ts';
import { undoChanges } from '../src/dict/repair/undo.ts';
import { publishUndone } from '../src/notify/index.ts';

/** Keys put back in a step. Each step is a transaction of its own; none of them runs long. */
const CHUNK = 200;

/**
 * Puts back what a reconciliation changed, in chunks. One transaction puts back the keys of a chunk, records the result
 * for each, marks them as held and publishes the changes.
 */
export default undoActivity<'again' | 'undone'>(async ({ run, input, log }) => {
  const { participant, keyType, run: runId } = input;
  return async (tx) => {
    const keys = await undoChanges(tx, { undoRunId: run.id, runId, participant, keyType }, CHUNK);
    if (keys.length === 0) return { outcome: 'undone' };
    await publishUndone(tx, { runId: run.id, undoneRun: runId, participant, keyType }, keys);
    const undone = keys.filter(({ result }) => result === 'UNDONE').length;
    const detail = { undone, left: keys.length - undone };
    log.info(detail, 'put back a chunk of keys');
    return { outcome: 'again', detail };
  };
});
