import type { DivergenceSummary } from '../../dict/log/divergence-report.ts';
import type { KeyType } from '../../dict/entry/key-type.ts';
import type { QuarantinedCid, ReconciliationSummary } from '../../dict/log/reconciliation-log.ts';
import type { AppliedChange } from '../../dict/repair/repair-policy.ts';
import type { UndoneKey, UndoSummary } from '../../dict/repair/undo.ts';

/** What a verification found for one key type. */
export interface VerifiedKeyType {
  result: 'OK' | 'NOK' | 'ERROR';
  vsync?: string | undefined;
  entries?: number | undefined;
  /** The VSync lacks keys of the participant's own tables, which cannot be used. */
  incomplete?: true | undefined;
  /** Code of the error, for ERROR. */
  code?: string | undefined;
}

/** CIDs of a changed key before and after, beside its content (cid of `before` and of `after`): they may always be told. */
interface Cids {
  cidBefore: string | null;
  cidAfter: string | null;
}

/**
 * A message to Core-Dict: its type and what it says (the `data` of its CloudEvent). The schemas in docs/reference/messages/schemas say the
 * same, and which of it is personal data.
 */
export type Message =
  | {
      /** One a verification. Key type "ALL". */
      type: 'verification.summary';
      content: {
        runId: string;
        outcome: 'IN_SYNC' | 'OUT_OF_SYNC' | 'INCOMPLETE';
        startedAt: Date;
        endedAt: Date;
        seconds: number;
        /** `seconds`: from the first time the VSync was sent to the last answer; absent if it never was. */
        keyTypes: Partial<Record<KeyType, VerifiedKeyType & { seconds?: number | undefined }>>;
        reconciliations: Partial<Record<KeyType, string>>;
      };
    }
  | {
      type: 'reconciliation.notification';
      content: {
        runId: string;
        /** CANCELLED, TERMINATED and POISONED are written by the trigger on workflow.runs. */
        event:
          | 'STARTED'
          | 'APPROVAL_NEEDED'
          | 'REJECTED'
          | 'FAILED'
          | 'QUARANTINED'
          | 'CANCELLED'
          | 'TERMINATED'
          | 'POISONED';
        summary: ReconciliationSummary;
        /** For APPROVAL_NEEDED: the set to approve. */
        setHash?: string;
        /** For APPROVAL_NEEDED: what that set is, in numbers. */
        divergences?: DivergenceSummary;
        /** For QUARANTINED: the first 100 CIDs that DICT kept failing on, with its own correlation ids. */
        quarantined?: QuarantinedCid[];
        /** For each end: how many pages and changes reconciliation.changes has told before. */
        pageCount?: number;
        changeCount?: number;
        /** For FAILED and POISONED: the error's code. */
        code?: string | undefined;
        /** For FAILED the error's sentence, for REJECTED a person's. */
        reason?: string | undefined;
      };
    }
  | {
      /** The keys a repair changed, with the entries before and after (personal data), as they were changed. */
      type: 'reconciliation.changes';
      /** Pages count from 1 in each run; the run's reconciliation.complete says how many there were. */
      content: { runId: string; page: number; changes: (AppliedChange & Cids)[] };
    }
  | {
      /** No OK within the deadline; once a breach. Written by dict.check_deadlines, times in ISO 8601, UTC. */
      type: 'sync.deadline_missed';
      content: {
        hours: number;
        /** Null: there never was one; then it counts from when the participant was configured. */
        lastOkAt: string | null;
        countedFrom: string;
        deadlineAt: string;
        lastResult: 'OK' | 'NOK' | 'ERROR' | null;
        openReconciliation: string | null;
      };
    }
  | {
      type: 'reconciliation.complete';
      /** How many pages and changes reconciliation.changes has told. */
      content: { runId: string; summary: ReconciliationSummary; pageCount: number; changeCount: number };
    }
  | {
      /** What an undo put back, and what it could not (personal data), as it did. */
      type: 'undo.changes';
      content: { runId: string; undoneRun: string; page: number; changes: (UndoneKey & Cids)[] };
    }
  | {
      /** Written by the trigger on workflow.runs where the summary's outcome is not COMPLETED; then the error's code is told. */
      type: 'undo.done';
      content: {
        runId: string;
        summary: UndoSummary;
        pageCount: number;
        changeCount: number;
        code?: string | undefined;
      };
    };
