import { z } from 'zod';
import { signal } from '../stored.ts';

/**
 * What a reconciliation remembers between its steps. `round` is absent before the first round and after an early
 * failure.
 */
export const reconciliationContext = z.looseObject({
  /** The number of the current comparison, from 1. */
  round: z.int().min(1).optional(),
  /** How often DICT said NOK after a repair. */
  noks: z.int().min(0).optional(),
  /** How often in a row DICT said NOK to the VSync being confirmed. */
  reads: z.int().min(0).optional(),
  /** Why the round compares with the CID file and not with the event log. */
  foundByReason: z.string().optional(),
  /** Whether the event log was already used to find the divergences of a round of this run. */
  replayed: z.boolean().optional(),
  /** The round in which no CID file could be used. A person's retry begins another round. */
  withoutFile: z.int().min(1).optional(),
  /** The round whose steps no longer wait for DICT's event log. */
  logUnavailable: z.int().min(1).optional(),
  /** Whether the run ends with CIDs that are quarantined. */
  quarantined: z.boolean().optional(),
  /** The CID file of the round; its size and SHA-256 are known when it is available. */
  file: z
    .looseObject({
      row: z.string(),
      id: z.string(),
      bytes: z.number().optional(),
      sha256: z.string().optional(),
    })
    .optional(),
  /** The signal that ended the last wait. */
  signal: signal.optional(),
});

/** The same inside a round. */
export const roundContext = reconciliationContext.required({ round: true });
