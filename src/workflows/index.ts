import { reconciliation } from './reconciliation.ts';
import { undo } from './undo.ts';
import { verification } from './verification.ts';
import { verificationSchedule } from './verification-schedule.ts';

/** Every machine of this program. */
export const machines = [verificationSchedule, verification, reconciliation, undo] as const;

export { openSchedule, tickVerificationSchedules } from './verification-schedule.ts';
