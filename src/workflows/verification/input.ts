import { z } from 'zod';
import { keyType, participant } from '../stored.ts';

/** What a run of `verification` is started with. */
export const verificationInput = z.looseObject({
  participant,
  keyTypes: z.array(keyType),
  /** Why an automatic retry was started. */
  reason: z.string().optional(),
  /** Key types whose reconciliation has failed: their next one must leave CID files for those of the next tick. */
  sparing: z.array(keyType).optional(),
});
