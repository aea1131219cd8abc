import { randomUUID } from 'node:crypto';
import type { ReconciliationSummary } from '../../../src/dict/log/reconciliation-log.ts';
import type { Message } from '../../../src/notify/outbox/messages.ts';
import { ISPB, message } from './support.ts';

const HASH = 'ab'.repeat(32);
const AT = new Date('2026-11-23T03:00:00Z');
const runId = randomUUID();

const summary: ReconciliationSummary = {
  ...{
    participant: ISPB,
    keyType: 'CPF',
    outcome: 'COMPLETED',
    reason: 'Half the base is missing',
    rounds: 1,
  },
  ...{
    vsyncBefore: HASH,
    vsyncAfter: HASH,
    entriesBefore: 10,
    entriesAfter: 11,
    dictOnlyCids: 2,
    localOnlyCids: 1,
  },
  ...{
    keysAdded: 1,
    keysCorrected: 1,
    keysRemoved: 0,
    keysRegistered: 0,
    keysInFlight: 0,
    keysHeld: 0,
    keysUnsure: 0,
    quarantined: 0,
  },
  ...{ approvedBy: 'Ana Souza', setHash: HASH },
};

const EXAMPLES: { [T in Message['type']]: Extract<Message, { type: T }>['content'] } = {
  'verification.summary': {
    ...{ runId, outcome: 'INCOMPLETE', startedAt: AT, endedAt: AT, seconds: 1.5 },
    keyTypes: {
      CPF: { result: 'NOK', vsync: HASH, entries: 10, incomplete: true, seconds: 1 },
      EVP: { result: 'ERROR', code: 'DV_BRIDGE_UNAVAILABLE' },
    },
    reconciliations: { CPF: randomUUID() },
  },
  'reconciliation.notification': {
    ...{ runId, event: 'APPROVAL_NEEDED', summary, setHash: HASH, code: 'DV_FILE_LATE', reason: 'Too many' },
    ...{ pageCount: 1, changeCount: 2 },
    divergences: {
      ...{
        round: 1,
        comparedAt: AT,
        foundBy: 'FILE',
        foundByReason: 'no OK yet',
        setHash: HASH,
        foundInAllRounds: 3,
      },
      threshold: 2,
      kinds: {
        cids: 3,
        pending: 3,
        dictOnly: 1,
        unknownKeys: 1,
        localOnly: 0,
        changedKeys: 1,
        changedCids: 2,
      },
      plan: { remove: 0, correct: 1, fetch: 1, lookups: 2, seconds: 0 },
      approvalReasons: ['CIDS', 'OWNER'],
      planned: { add: 1, correct: 1, remove: 0, register: 0, leave: 0, unasked: 0 },
      changedFields: { owner: 1, name: 1, branch: 0, account: 0, registration: 0 },
      share: { keys: 2, base: 12, percent: 16.67 },
      snapshotAt: AT,
      ageSeconds: 12.5,
      deadline: { at: AT, hoursLeft: 20.5, lastOkAt: null },
      nights: [
        {
          ...{ day: '2026-11-22', verified: 'NOK', reconciliations: 1, cids: 2 },
          ...{ added: 1, corrected: 0, removed: 1, registered: 0 },
        },
      ],
      leadsTo: { approve: 'Keys are changed.', reject: 'Nothing is changed.', wait: 'Nothing is changed.' },
    },
    quarantined: [{ cid: HASH, correlationId: null }],
  },
  'reconciliation.changes': message(1).content as Extract<
    Message,
    { type: 'reconciliation.changes' }
  >['content'],
  'reconciliation.complete': { runId, summary, pageCount: 1, changeCount: 2 },
  'sync.deadline_missed': {
    ...{ hours: 36, lastOkAt: null, countedFrom: AT.toISOString(), deadlineAt: AT.toISOString() },
    ...{ lastResult: 'NOK', openReconciliation: runId },
  },
  'warning.raised': {
    ...{ code: 'RECONCILIATION_FAILED', since: AT.toISOString(), lastOkAt: null, count: 3 },
    ...{ runId, errorCode: 'DV_TIMEOUT', deadlineAt: AT.toISOString() },
  },
  'warning.cleared': { code: 'NO_FRESH_OK', since: AT.toISOString(), lastOkAt: AT.toISOString() },
  'undo.changes': {
    ...{ runId, undoneRun: randomUUID(), page: 1 },
    changes: (
      message(1).content as Extract<Message, { type: 'reconciliation.changes' }>['content']
    ).changes.map((change) => ({
      ...change,
      decision: 'ADDED',
      result: 'NEWER',
      why: 'it has changed since',
    })),
  },
  'undo.done': {
    ...{ runId, pageCount: 1, changeCount: 1, code: 'DV_STEP_POISONED' },
    summary: {
      ...{ participant: ISPB, keyType: 'CPF', undoneRun: randomUUID(), by: 'Ana Souza', reason: 'a mistake' },
      ...{ outcome: 'POISONED', keysUndone: 1, keysLeft: 0, askedAt: AT, endedAt: AT },
    },
  },
};

/** A content of this type with every field that it may have. */
export function exampleOf(type: Message['type']): unknown {
  return EXAMPLES[type];
}
