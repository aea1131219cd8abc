import { machineOver } from '../../engine/index.ts';
import type { TaskActivities } from '../../../tasks/index.ts';

/**
 * Puts back what one closed reconciliation changed, key by key, where nothing newer has touched the key. These keys are
 * held until a person releases them. dict.start_undo starts it.
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
