import { machineOver } from '../../engine/index.ts';
import type { TaskActivities } from '../../../tasks/index.ts';

const MINUTE = 60_000;

/**
 * Makes the local base of one participant and key type equal to DICT, and proves it.
 *
 *   open → snapshot → replay event logs ───────────────────┐
 *            ↑            │ cannot decide                  ↓
 *            │            └→ request file → poll → … → compare → judge → look up → plan ─┬─ within the limits ─→ apply
 *            │                  ↑____ unusable: another ___│       │                    ├─ ask → approval ────↑ │
 *            ├──────────────── approval came late ─────────────────│────────────────────┘                       │
 *            │                                                     └─ nothing left ─┐                           │
 *            └── still NOK, at most 3 rounds ── confirm ←─────────── recalculate ←──┴───────────────────────────┘
 */
export const reconciliation = machineOver<TaskActivities>()({
  name: 'reconciliation',
  version: 1,
  initial: 'open',
  states: {
    open: { kind: 'activity', task: 'open_reconciliation', on: { opened: 'snapshot' } },
    snapshot: {
      kind: 'activity',
      task: 'keep_snapshot',
      on: { kept: 'replay', failure: 'log_failure' },
    },
    replay: {
      kind: 'activity',
      task: 'replay_event_log',
      on: { identical: 'recalculate', different: 'judge', use_file: 'request_file', failure: 'log_failure' },
    },
    request_file: {
      kind: 'loop',
      task: 'bridge_request_reconciliation',
      on: { requested: 'poll_file', unusable: 'log_failure', anew: 'snapshot', failure: 'log_failure' },
    },
    // 1, 2, 4 … 60 s: five key types simultaneously stay within getCidSetFile's 10 a minute and its token bucket of 50.
    poll_file: {
      kind: 'poll',
      task: 'bridge_get_reconciliation_status',
      poll: { initialMs: 1000, backoff: 2, maxMs: MINUTE },
      // FILE_WAIT_MINUTES from the first answer.
      deadlineMs: 10 * MINUTE,
      on: { available: 'download', refused: 'request_file', timeout: 'file_late', failure: 'log_failure' },
    },
    file_late: {
      kind: 'activity',
      task: 'report_late_file',
      on: { late: 'log_failure', found: 'poll_file', anew: 'snapshot', failure: 'log_failure' },
    },
    download: {
      kind: 'loop',
      task: 'download_cid_file',
      on: { complete: 'compare', unusable: 'request_file', failure: 'log_failure' },
    },
    compare: {
      kind: 'activity',
      task: 'compare_cids',
      startToCloseMs: 30 * MINUTE,
      on: {
        identical: 'recalculate',
        different: 'judge',
        refused: 'request_file',
        missing: 'download',
        failure: 'log_failure',
      },
    },
    judge: {
      kind: 'activity',
      task: 'judge_divergences',
      on: { nothing: 'recalculate', judged: 'look_up', failure: 'log_failure' },
    },
    look_up: {
      kind: 'loop',
      task: 'look_up_divergences',
      on: { looked_up: 'plan', failure: 'log_failure' },
    },
    plan: {
      kind: 'activity',
      task: 'plan_repair',
      on: { apply: 'apply', ask: 'ask_approval', failure: 'log_failure' },
    },
    ask_approval: {
      kind: 'activity',
      task: 'publish_reconciliation_notification',
      on: { notified: 'wait_approval', failure: 'log_failure' },
    },
    wait_approval: {
      kind: 'wait',
      signals: ['approve', 'reject'],
      on: { approve: 'accept_approval', reject: 'log_rejection' },
    },
    accept_approval: {
      kind: 'activity',
      task: 'accept_approval',
      on: { fresh: 'apply', stale: 'snapshot', failure: 'log_failure' },
    },
    apply: {
      kind: 'loop',
      task: 'apply_reconciliation',
      on: { applied: 'recalculate', failure: 'log_failure' },
    },
    recalculate: {
      kind: 'loop',
      task: 'recalculate_vsync',
      startToCloseMs: 30 * MINUTE,
      on: { recalculated: 'confirm', failure: 'log_failure' },
    },
    confirm: {
      kind: 'loop',
      task: 'bridge_confirm_vsync',
      on: {
        ok: 'log',
        nok: 'snapshot',
        still_nok: 'log_failure',
        quarantined: 'log_quarantine',
        failure: 'log_failure',
      },
    },
    log: { kind: 'activity', task: 'save_reconciliation_log', on: { saved: 'notify' } },
    notify: { kind: 'activity', task: 'publish_reconciliation_complete', on: { published: 'in_sync' } },
    in_sync: { kind: 'terminal', closesAs: 'COMPLETED' },

    log_quarantine: { kind: 'activity', task: 'save_reconciliation_log', on: { saved: 'notify_quarantine' } },
    notify_quarantine: {
      kind: 'activity',
      task: 'publish_reconciliation_complete',
      on: { published: 'quarantined' },
    },
    quarantined: { kind: 'terminal', closesAs: 'COMPLETED_WITH_QUARANTINE' },

    log_rejection: { kind: 'activity', task: 'save_reconciliation_log', on: { saved: 'notify_rejection' } },
    notify_rejection: {
      kind: 'activity',
      task: 'publish_reconciliation_notification',
      on: { notified: 'rejected' },
    },
    rejected: { kind: 'terminal', closesAs: 'REJECTED' },

    log_failure: { kind: 'activity', task: 'save_reconciliation_log', on: { saved: 'notify_failure' } },
    notify_failure: {
      kind: 'activity',
      task: 'publish_reconciliation_notification',
      on: { notified: 'failed' },
    },
    failed: { kind: 'terminal', closesAs: 'FAILED' },
  },
});
