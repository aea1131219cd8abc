import type { DivergenceSummary } from '../../dict/log/divergence-report.ts';
import type { KeyType } from '../../dict/entry/key-type.ts';
import type { QuarantinedCid, ReconciliationSummary } from '../../dict/log/reconciliation-log.ts';
import type { AppliedChange } from '../../dict/repair/repair-policy.ts';
import type { WarningCode } from '../../dict/vsync/warnings.ts';
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

/** CIDs of a changed key before and after, beside its content. They are not personal data and are always published. */
interface Cids {
  cidBefore: string | null;
  cidAfter: string | null;
}

/**
 * A message to Core-Dict: its type and its content (the `data` of its CloudEvent). The schemas in
 * docs/reference/messages/schemas describe the same, and mark what is personal data.
 */
export type Message =
  | {
      /** One for each verification. Its key type is "ALL". */
      type: 'verification.summary';
      content: {
        runId: string;
        outcome: 'IN_SYNC' | 'OUT_OF_SYNC' | 'INCOMPLETE';
        startedAt: Date;
        endedAt: Date;
        seconds: number;
        /** `seconds`: from the first time the VSync was sent to the last answer. Absent if it was never sent. */
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
        /** For APPROVAL_NEEDED: a summary of that set in numbers. */
        divergences?: DivergenceSummary;
        /** For QUARANTINED: the first 100 CIDs that were quarantined, with DICT's correlation ids. */
        quarantined?: QuarantinedCid[];
        /** For events that end the run: pages and changes published before as reconciliation.changes. */
        pageCount?: number;
        changeCount?: number;
        /** For FAILED and POISONED: the error's code. */
        code?: string | undefined;
        /** For FAILED: the error's message. For REJECTED: the reason that a person gave. */
        reason?: string | undefined;
      };
    }
  | {
      /**
       * The keys that a repair changed, with the entries before and after (personal data), in the order of the changes.
       */
      type: 'reconciliation.changes';
      /** Pages are numbered from 1 in each run. The run's reconciliation.complete says how many there are. */
      content: { runId: string; page: number; changes: (AppliedChange & Cids)[] };
    }
  | {
      /**
       * There was no OK within the deadline. Published once for each breach by dict.check_warnings. Times: ISO 8601,
       * UTC.
       */
      type: 'sync.deadline_missed';
      content: {
        hours: number;
        /** Null: there was never an OK. Then the deadline counts from the time the participant was configured. */
        lastOkAt: string | null;
        countedFrom: string;
        deadlineAt: string;
        lastResult: 'OK' | 'NOK' | 'ERROR' | null;
        openReconciliation: string | null;
      };
    }
  | {
      /** A warning other than a missed deadline began. Published once by dict.check_warnings. Times: ISO 8601, UTC. */
      type: 'warning.raised';
      content: {
        code: Exclude<WarningCode, 'DEADLINE_MISSED'>;
        since: string;
        lastOkAt: string | null;
        count: number | null;
        runId: string | null;
        errorCode: string | null;
        deadlineAt: string | null;
      };
    }
  | {
      /** The cause of a warning, or of a missed deadline, has ended. Published once by dict.check_warnings. */
      type: 'warning.cleared';
      content: { code: WarningCode; since: string; lastOkAt: string | null };
    }
  | {
      type: 'reconciliation.complete';
      /** Pages and changes that were published as reconciliation.changes. */
      content: { runId: string; summary: ReconciliationSummary; pageCount: number; changeCount: number };
    }
  | {
      /** The keys that an undo put back or left alone (personal data), in the order in which it processed them. */
      type: 'undo.changes';
      content: { runId: string; undoneRun: string; page: number; changes: (UndoneKey & Cids)[] };
    }
  | {
      /**
       * If the summary's outcome is not COMPLETED, the trigger on workflow.runs publishes it, with the error's code.
       */
      type: 'undo.done';
      content: {
        runId: string;
        summary: UndoSummary;
        pageCount: number;
        changeCount: number;
        code?: string | undefined;
      };
    };
