import { machineOver } from '../../engine/index.ts';
import type { TaskActivities } from '../../../tasks/index.ts';

/**
 * One closed reconciliation: puts back what it changed, key by key, where nothing newer has touched the key, and holds
 * those keys until a person releases them. Started by dict.start_undo.
 *
 *   undo ⟲ chunk by chunk ─→ publish ─→ undone
 */
export const undo = machineOver<TaskActivities>()({
  name: 'undo',
  version: 1,
  initial: 'undo',
  states: {
    undo: { kind: 'loop', task: 'undo_reconciliation', on: { undone: 'publish' } },
    publish: { kind: 'activity', task: 'publish_undo_done', on: { published: 'undone' } },
    undone: { kind: 'terminal', closesAs: 'COMPLETED' },
  },
});
