import type { z } from 'zod';
import {
  type Activity,
  type Json,
  type StoredJson,
  typedActivity,
  type TypedActivity,
} from '../engine/index.ts';
import { DvError } from '../errors/dv-error.ts';
import type { Services } from './activity-services.ts';
import { reconciliationContext, roundContext } from './reconciliation/context.ts';
import { reconciliationInput } from './reconciliation/input.ts';
import { undoContext } from './undo/context.ts';
import { undoInput } from './undo/input.ts';
import { verificationContext } from './verification/context.ts';
import { verificationInput } from './verification/input.ts';
import { verificationScheduleContext } from './verification-schedule/context.ts';
import { verificationScheduleInput } from './verification-schedule/input.ts';

/** Declares an activity of a reconciliation with its possible outcomes; a machine must say where each leads. */
export const reconciliationActivity = activitiesOver(reconciliationInput, reconciliationContext);

/** The same for an activity that runs inside a round: it must do nothing if the round's number is missing. */
export const roundActivity = activitiesOver(reconciliationInput, roundContext);

/** Declares the first activity of a verification, which writes the context that the others need. */
export const openingVerificationActivity = activitiesOver(verificationInput, verificationContext.partial());

/** Declares an activity of a verification that was opened. */
export const verificationActivity = activitiesOver(verificationInput, verificationContext);

/** Declares an activity of a participant's verification schedule. */
export const verificationScheduleActivity = activitiesOver(
  verificationScheduleInput,
  verificationScheduleContext,
);

/** Declares an activity of an undo. */
export const undoActivity = activitiesOver(undoInput, undoContext);

/** Declares an activity that several machines use. Its input is what these machines have in common. */
export const sharedActivity = activitiesOver(
  reconciliationInput.partial({ keyType: true }),
  verificationContext.pick({ toScan: true }).partial(),
);

function activitiesOver<I extends Json, C extends Json>(input: z.ZodType<I>, context: z.ZodType<C>) {
  const stored: StoredJson<I, C> = {
    readInput: (json) => read(input, 'input', json),
    readContext: (json) => read(context, 'context', json),
  };
  return <O extends string>(work: TypedActivity<O, Services, I, C>): Activity<O, Services> =>
    typedActivity(stored, work);
}

function read<T>(schema: z.ZodType<T>, what: string, stored: Json): T {
  const parsed = schema.safeParse(stored);
  if (parsed.success) return parsed.data;
  // The fields' names only: their values may be personal data.
  const fields = parsed.error.issues.map(({ path }) => path.join('.')).join(', ');
  throw new DvError(
    'DV_UNEXPECTED',
    `The stored ${what} of this run cannot be read (${fields}), so the step did nothing. Please report this error.`,
    { class: 'not_retryable' },
  );
}
