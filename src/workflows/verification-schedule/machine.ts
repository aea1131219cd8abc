import { machineOver, signalRun, startRunIn, type Transaction } from '../../engine/index.ts';
import type { TaskActivities } from '../../../tasks/index.ts';

/** The nightly schedule of one participant: each tick starts a verification. The run is replaced after 30 of them. */
export const verificationSchedule = machineOver<TaskActivities>()({
  name: 'verification_schedule',
  version: 1,
  initial: 'waiting',
  states: {
    waiting: { kind: 'wait', signals: ['tick'], on: { tick: 'start' } },
    start: { kind: 'spawn', task: 'start_verification', on: { started: 'waiting', renew: 'continued' } },
    continued: { kind: 'terminal', closesAs: 'CONTINUED' },
  },
});

/** The run of a participant's schedule. Started if there is no such run. */
export async function openSchedule(tx: Transaction, participant: string): Promise<string> {
  return startRunIn(
    tx,
    verificationSchedule.name,
    `verification-schedule:${participant}`,
    { participant },
    'worker',
  );
}

/**
 * What the crontab's task `verification_schedule` does at a tick: it signals the tick to each participant's schedule.
 */
export function tickVerificationSchedules(participants: readonly string[]) {
  return async (tx: Transaction, tick: Date): Promise<void> => {
    for (const participant of participants) {
      const run = await openSchedule(tx, participant);
      await signalRun(tx, run, 'tick', { tick: tick.toISOString() }, 'crontab');
    }
  };
}
