import type { Answer } from './faults.ts';
import type { Operation } from './limits.ts';

const OTHER_CID = 'f'.repeat(64);

const CHANGES: Partial<Record<Operation, (answer: Answer) => Answer>> = {
  createSyncVerification: (answer) => ({ ...answer, result: 'MAYBE' }),
  createCidSetFile: (answer) => ({ ...answer, file: { ...(answer['file'] as Answer), status: '' } }),
  getCidSetFile: (answer) => ({ ...answer, file: { ...(answer['file'] as Answer), status: '' } }),
  listCidSetEvents: (answer) => ({
    ...answer,
    events: [{ type: 'ADDED', cid: 'not a CID', timestamp: answer['responseTime'] }],
  }),
  getEntryByCid: (answer) => ({ ...answer, cid: OTHER_CID }),
  createEntry: (answer) => ({
    ...answer,
    entry: { ...(answer['entry'] as Answer), participant: '00000000' },
  }),
  listPolicies: (answer) => ({ ...answer, policies: [{ name: 'CIDS_FILES_READ', availableTokens: -1 }] }),
};

const entryWith =
  (change: (entry: Answer) => Answer) =>
  (answer: Answer): Answer =>
    'entry' in answer ? { ...answer, entry: change(answer['entry'] as Answer) } : answer;

/** Wrong answers that participants have met. Each leaves an answer of another operation as it is. */
export const WRONG_ANSWERS = {
  /** NOK, whatever the VSync is. */
  nok: (answer) => ('result' in answer ? { ...answer, result: 'NOK' } : answer),
  /** The entry has the name that it had before, so that it does not give its own CID. */
  entry_of_before: entryWith((entry) => ({ ...entry, name: 'Nome Antes da Mudança' })),
  /** The entry's name contains the character NUL. */
  entry_nul: entryWith((entry) => ({ ...entry, name: `${String(entry['name'])}\u0000` })),
  /** The entry's key has 12,000 characters. */
  entry_endless: entryWith((entry) => ({ ...entry, key: 'x'.repeat(12_000) })),
  /** The event log's SyncVerifierEnd is wrong. */
  log_wrong_verifier: (answer) =>
    'syncVerifierEnd' in answer ? { ...answer, syncVerifierEnd: OTHER_CID } : answer,
  /** The event log lacks its second event. */
  log_hole: (answer) =>
    Array.isArray(answer['events'])
      ? { ...answer, events: answer['events'].filter((_, index) => index !== 1) }
      : answer,
} satisfies Record<string, (answer: Answer) => Answer>;

export type WrongAnswer = keyof typeof WRONG_ANSWERS;

/** The answer of an operation with the fault `nonsense`, unless the fault has its own `change`. */
export function nonsenseAnswer(operation: Operation, answer: Answer, as?: WrongAnswer): Answer {
  if (as !== undefined) return WRONG_ANSWERS[as](answer);
  return CHANGES[operation]?.(answer) ?? answer;
}
