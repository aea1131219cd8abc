import { z } from 'zod';
import { keyType, participant } from '../stored.ts';

/** What a run of `undo` is started with: the scope, and the reconciliation that it undoes. */
export const undoInput = z.looseObject({ participant, keyType, run: z.string() });
