import { z } from 'zod';
import { parseIspb } from '../dict/entry/ispb.ts';
import { KEY_TYPES } from '../dict/entry/key-type.ts';

/** A participant's ISPB in a stored input; DV_ISPB_INVALID. */
export const participant = z.string().transform(parseIspb);

/** A key type in a stored input or context. */
export const keyType = z.enum(KEY_TYPES);

/** The signal that ended a run's last wait, as the engine writes it into the run's context. */
export const signal = z.looseObject({
  name: z.string(),
  by: z.string(),
  reason: z.string().optional(),
});
