import { z } from 'zod';
import type { VerifiedKeyType } from '../../notify/index.ts';
import { keyType } from '../stored.ts';

const verifiedKeyType: z.ZodType<VerifiedKeyType> = z.looseObject({
  result: z.enum(['OK', 'NOK', 'ERROR']),
  vsync: z.string().optional(),
  entries: z.number().optional(),
  incomplete: z.literal(true).optional(),
  code: z.string().optional(),
});

/** What a verification remembers between its steps. Its first step writes all that is required. */
export const verificationContext = z.looseObject({
  /** Still to be recalculated from the entries before anything is sent. */
  toScan: z.array(keyType),
  /** Still to be sent to DICT. */
  todo: z.array(keyType),
  /** Put aside: DICT or the Bridge kept failing. */
  skipped: z.array(keyType),
  /** What DICT said of each key type, as far as it was asked. */
  results: z.partialRecord(keyType, verifiedKeyType),
  /** NOKs in a row of the types still in `todo`. */
  noks: z.partialRecord(keyType, z.int().min(0)).optional(),
  /** Key types whose reconciliation was started already. */
  spawned: z.array(keyType).optional(),
});

export type VerificationResults = z.output<typeof verificationContext>['results'];

/** Fresh reads of the local VSync that DICT must call NOK, a few seconds apart, before a NOK is believed. */
export const NOKS_BELIEVED = 3;
