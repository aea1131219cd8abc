import type { DivergenceSummary } from '../dict/divergence-report.ts';
import type { KeyType } from '../dict/key-type.ts';
import type { ReconciliationSummary } from '../dict/reconciliation-log.ts';
import type { AppliedChange } from '../dict/repair.ts';
import type { UndoneKey, UndoSummary } from '../dict/undo.ts';

/** What a verification found for one key type. */
export interface VerifiedKeyType {
  result: 'OK' | 'NOK' | 'ERROR';
  vsync?: string;
  entries?: number;
  /** The VSync lacks keys of the participant's own tables, which cannot be used. */
  incomplete?: true;
  /** Code of the error, for ERROR. */
  code?: string;
}

/** A message to Core-Dict: its type and what it says. Published once per participant and key type, in order. */
export type Message =
  | {
      /** One a verification. Key type "ALL". */
      type: 'verification.summary';
      content: {
        runId: string;
        outcome: 'IN_SYNC' | 'OUT_OF_SYNC' | 'INCOMPLETE';
        keyTypes: Partial<Record<KeyType, VerifiedKeyType>>;
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
          | 'CANCELLED'
          | 'TERMINATED'
          | 'POISONED';
        summary: ReconciliationSummary;
        /** For APPROVAL_NEEDED: the set to approve. */
        setHash?: string;
        /** For APPROVAL_NEEDED: what that set is, in numbers. */
        divergences?: DivergenceSummary;
        reason?: string;
      };
    }
  | {
      /** The keys a repair changed, with the entries before and after (personal data), as they were changed. */
      type: 'reconciliation.changes';
      content: { runId: string; changes: AppliedChange[] };
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
  | { type: 'reconciliation.complete'; content: { runId: string; summary: ReconciliationSummary } }
  | {
      /** What an undo put back, and what it could not (personal data), as it did. */
      type: 'undo.changes';
      content: { runId: string; undoneRun: string; changes: UndoneKey[] };
    }
  | { type: 'undo.done'; content: { runId: string; summary: UndoSummary } };
