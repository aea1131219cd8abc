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

/** The answer of an operation with the fault `nonsense`, unless the fault has its own `change`. */
export function nonsenseAnswer(operation: Operation, answer: Answer): Answer {
  return CHANGES[operation]?.(answer) ?? answer;
}
