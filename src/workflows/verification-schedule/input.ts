import { z } from 'zod';
import { participant } from '../stored.ts';

/** What a run of `verification_schedule` is started with. */
export const verificationScheduleInput = z.looseObject({ participant });
