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

/** What a verification remembers between its steps. Its first step writes all required fields. */
export const verificationContext = z.looseObject({
  /** Still to be recalculated from the entries before anything is sent. */
  toScan: z.array(keyType),
  /** Still to be sent to DICT. */
  todo: z.array(keyType),
  /** Skipped in this verification, because DICT or the Bridge kept failing. */
  skipped: z.array(keyType),
  /** DICT's answer for each key type that was sent. */
  results: z.partialRecord(keyType, verifiedKeyType),
  /** Consecutive NOKs of the key types still in `todo`. */
  noks: z.partialRecord(keyType, z.int().min(0)).optional(),
  /** Key types whose reconciliation has been started. */
  spawned: z.array(keyType).optional(),
});

export type VerificationResults = z.output<typeof verificationContext>['results'];

/** A NOK counts only after this number of consecutive fresh reads of the VSync, a few seconds apart, were NOK. */
export const NOKS_BELIEVED = 3;
