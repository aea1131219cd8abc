import { z } from 'zod';
import { signal } from '../stored.ts';

/** What a schedule's run remembers between its ticks. */
export const verificationScheduleContext = z.looseObject({
  /** Verifications that this run has started. */
  executions: z.int().min(0).optional(),
  /** The tick that ended the last wait. */
  signal: signal.optional(),
});
