import { z } from 'zod';
import { keyType, participant } from '../stored.ts';

/** What a run of `verification` is started with. */
export const verificationInput = z.looseObject({ participant, keyTypes: z.array(keyType) });
