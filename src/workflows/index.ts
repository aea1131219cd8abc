import { reconciliation } from './reconciliation/machine.ts';
import { undo } from './undo/machine.ts';
import { verification } from './verification/machine.ts';
import { verificationSchedule } from './verification-schedule/machine.ts';

/** Every machine of this program. */
export const machines = [verificationSchedule, verification, reconciliation, undo] as const;

export { openSchedule, tickVerificationSchedules } from './verification-schedule/machine.ts';
