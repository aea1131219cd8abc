import type { DictStatus } from '../bridge/contract.ts';
import type { Operation } from './limits.ts';

/** An answer as the operations make it, before the face puts it into its protocol. */
export type Answer = Record<string, unknown>;

/** Faults of a call: they strike when a call comes in. */
export type CallFault =
  /** Answers with this problem instead of doing anything. 503 says Retry-After 60 unless told otherwise. */
  | { kind: 'problem'; status: DictStatus; type?: string; retryAfterSec?: number }
  /** Does what was asked, and never answers. */
  | { kind: 'hang' }
  /** Answers `delayMs` (real milliseconds) later. */
  | { kind: 'delay'; delayMs: number }
  /** Does what was asked and answers what cannot be: by `change`, or what nonsense.ts has for the operation. */
  | { kind: 'nonsense'; change?: (answer: Answer) => Answer }
  /** The download breaks off (503), or goes silent, after this many bytes of it. */
  | { kind: 'download_cut' | 'download_stall'; afterBytes: number };

/** Faults of a file: they are bound to the file when it is asked for, and several combine. */
export type FileFault =
  /** Takes this much longer (milliseconds, divided by the simulator's speed). */
  | { kind: 'file_slow'; delayMs: number }
  | {
      kind:
        | 'file_stuck' // REQUESTED for ever
        | 'file_error' // ends in ERROR
        | 'file_unavailable' // ends in UNAVAILABLE
        | 'file_wrong_sha256'
        | 'file_wrong_bytes'
        | 'file_truncated' // Bytes and Sha256 are those of the whole
        | 'file_junk_line' // the kinds from here on: Bytes and Sha256 fit what is in the file
        | 'file_duplicate_line'
        | 'file_crlf'
        | 'file_upper_case'
        | 'file_no_last_newline';
    };

/** Events that happen from now on show in listCidSetEvents `delayMs` (real milliseconds) after their timestamp. */
export interface LateEvents {
  kind: 'late_events';
  delayMs: number;
}

/** What a fault applies to; an absent field means any. */
export interface FaultScope {
  operation?: Operation;
  participant?: string;
  keyType?: string;
  /** Lower-case hex; of getEntryByCid. */
  cid?: string;
}

export type Fault = (CallFault | FileFault | LateEvents) &
  FaultScope & {
    /** How many times it strikes; absent: until it is removed. */
    times?: number;
  };

/** A fault that was switched on. */
export interface FaultSwitch {
  /** How often it struck. */
  readonly struck: number;
  off(): void;
}

interface Armed {
  fault: Fault;
  struck: number;
}

/** The faults switched on, in the order they were. */
export class Faults {
  #armed: Armed[] = [];

  /** Switches a fault on; until `times` are used up or it is switched off. */
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

  /** Switches all off. */
  clear(): void {
    this.#armed = [];
  }

  /** The faults a call meets; each counts as having struck. Of several problems only the first strikes. */
  takeForCall(scope: FaultScope): CallFault[] {
    let problem = false;
    return this.#take(scope, isCallFault, (fault) => {
      if (fault.kind === 'problem' && problem) return false;
      problem ||= fault.kind === 'problem';
      return true;
    });
  }

  /** The faults of a file asked for now. */
  takeForFile(scope: FaultScope): FileFault[] {
    return this.#take(scope, isFileFault);
  }

  /** How late (ms) an event that happens now will show. */
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
