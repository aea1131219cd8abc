import { machineOver } from '../../engine/index.ts';
import type { TaskActivities } from '../../../tasks/index.ts';

const MINUTE = 60_000;

/**
 * Proves that one participant is in sync, for all five key types or those asked for. Spawns a reconciliation for each
 * type that is NOK. A type that cannot be verified does not stop the others.
 *
 *   read ─→ (scan) ─→ verify ⟲ type by type ─→ log ─→ spawn reconciliations ─→ publish summary
 */
export const verification = machineOver<TaskActivities>()({
  name: 'verification',
  version: 1,
  initial: 'read',
  states: {
    read: { kind: 'activity', task: 'read_all_vsyncs', on: { scan_first: 'scan', read: 'verify' } },
    scan: {
      kind: 'loop',
      task: 'recalculate_vsync',
      startToCloseMs: 30 * MINUTE,
      on: { recalculated: 'verify' },
    },
    verify: { kind: 'loop', task: 'bridge_verify_vsync', on: { done: 'log', failure: 'skip' } },
    skip: { kind: 'activity', task: 'skip_key_type', on: { again: 'verify', done: 'log' } },
    log: { kind: 'activity', task: 'log_verification', on: { logged: 'spawn' } },
    spawn: { kind: 'spawn', task: 'spawn_reconciliations', on: { spawned: 'publish' } },
    publish: {
      kind: 'activity',
      task: 'publish_verification_summary',
      on: { in_sync: 'verified', out_of_sync: 'verified', incomplete: 'incomplete' },
    },
    verified: { kind: 'terminal', closesAs: 'COMPLETED' },
    incomplete: { kind: 'terminal', closesAs: 'FAILED' },
  },
});
