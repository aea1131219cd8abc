import { z } from 'zod';
import { keyType, participant } from '../stored.ts';

/** What a run of `reconciliation` is started with. */
export const reconciliationInput = z.looseObject({
  participant,
  keyType,
  /** Why the automatic retry was started that found NOK. */
  reason: z.string().optional(),
});
