import type { DictStatus } from '../bridge/contract.ts';
import type { Operation } from './limits.ts';
import type { WrongAnswer } from './nonsense.ts';

/** The answer of an operation, before the gRPC server converts it to its protocol. */
export type Answer = Record<string, unknown>;

/** Faults of a call. They apply when the call arrives. */
export type CallFault =
  /** Answers with this problem and does nothing. 503 has Retry-After 60 unless another value is given. */
  | { kind: 'problem'; status: DictStatus; type?: string; retryAfterSec?: number }
  /** Executes the call, but never answers. */
  | { kind: 'hang' }
  /** Answers `delayMs` (real milliseconds) later. */
  | { kind: 'delay'; delayMs: number }
  /** Executes the call and gives an impossible answer: that of `change`, or the one in nonsense.ts (`as`: by its name). */
  | { kind: 'nonsense'; as?: WrongAnswer; change?: (answer: Answer) => Answer }
  /** The download fails with 503, or stops sending, after this many bytes. */
  | { kind: 'download_cut' | 'download_stall'; afterBytes: number };

/** Faults of a file. They are bound to the file when it is requested, and several can be combined. */
export type FileFault =
  /** Takes this much longer (milliseconds, divided by the simulator's speed). */
  | { kind: 'file_slow'; delayMs: number }
  /** Has this status while it is being made, for example one that a later version of the API adds. */
  | { kind: 'file_status'; status: string }
  /** Bytes is this number, whatever the content has. */
  | { kind: 'file_announces'; bytes: number }
  /** CreationTime is this much (milliseconds) before RequestTime. The content is that of the true time. */
  | { kind: 'file_made_before'; ageMs: number }
  | {
      kind:
        | 'file_stuck' // REQUESTED for ever
        | 'file_empty' // Bytes 0, the SHA-256 of nothing, and nothing behind the Url (404)
        | 'file_gone' // AVAILABLE, but the Url answers 404
        | 'file_of_others' // also lists as many CIDs that are not the participant's
        | 'file_error' // ends in ERROR
        | 'file_unavailable' // ends in UNAVAILABLE
        | 'file_wrong_sha256'
        | 'file_wrong_bytes'
        | 'file_truncated' // Bytes and Sha256 are those of the whole file
        | 'file_junk_line' // here and below, Bytes and Sha256 match the content of the file
        | 'file_duplicate_line'
        | 'file_crlf'
        | 'file_upper_case'
        | 'file_no_last_newline';
    };

/** From now on listCidSetEvents shows events only `delayMs` (real milliseconds) after their timestamp. */
export interface LateEvents {
  kind: 'late_events';
  delayMs: number;
}

/** The calls to which a fault applies. An absent field means any. */
export interface FaultScope {
  operation?: Operation;
  participant?: string;
  keyType?: string;
  /** Lower-case hex, for getEntryByCid. */
  cid?: string;
}

export type Fault = (CallFault | FileFault | LateEvents) &
  FaultScope & {
    /** How many times it applies. Absent: until it is removed. */
    times?: number;
  };

/** A fault that was switched on. */
export interface FaultSwitch {
  /** How often it was applied. */
  readonly struck: number;
  off(): void;
}

interface Armed {
  fault: Fault;
  struck: number;
}

/** The active faults, in the order in which they were switched on. */
export class Faults {
  #armed: Armed[] = [];

  /** Switches a fault on. It stays on until `times` are used up or it is switched off. */
  on(fault: Fault): FaultSwitch {
    const armed: Armed = { fault, struck: 0 };
    this.#armed.push(armed);
    return {
      get struck() {
        return armed.struck;
      },
      off: () => {
        this.#armed = this.#armed.filter((other) => other !== armed);
      },
    };
  }

  /** Switches all faults off. */
  clear(): void {
    this.#armed = [];
  }

  /** The faults that apply to a call. Each is counted as applied. Of several problems only the first applies. */
  takeForCall(scope: FaultScope): CallFault[] {
    let problem = false;
    return this.#take(scope, isCallFault, (fault) => {
      if (fault.kind === 'problem' && problem) return false;
      problem ||= fault.kind === 'problem';
      return true;
    });
  }

  /** The faults of a file that is requested now. */
  takeForFile(scope: FaultScope): FileFault[] {
    return this.#take(scope, isFileFault);
  }

  /** The delay (ms) after which an event that happens now becomes visible. */
  takeForEvent(scope: FaultScope): number {
    return this.#take(scope, isLateEvents).reduce((latest, fault) => Math.max(latest, fault.delayMs), 0);
  }

  #take<T extends Fault>(
    scope: FaultScope,
    isKind: (fault: Fault) => fault is T,
    wanted: (fault: T) => boolean = () => true,
  ): T[] {
    const taken: T[] = [];
    for (const armed of this.#armed) {
      const { fault } = armed;
      if (!isKind(fault) || !applies(fault, scope) || !wanted(fault)) continue;
      armed.struck += 1;
      taken.push(fault);
    }
    this.#armed = this.#armed.filter(({ fault, struck }) => struck < (fault.times ?? Infinity));
    return taken;
  }
}

function applies(fault: FaultScope, call: FaultScope): boolean {
  return (['operation', 'participant', 'keyType', 'cid'] as const).every(
    (field) => fault[field] === undefined || fault[field] === call[field],
  );
}

function isFileFault(fault: Fault): fault is Fault & FileFault {
  return fault.kind.startsWith('file_');
}

function isLateEvents(fault: Fault): fault is Fault & LateEvents {
  return fault.kind === 'late_events';
}

function isCallFault(fault: Fault): fault is Fault & CallFault {
  return !isFileFault(fault) && !isLateEvents(fault);
}
