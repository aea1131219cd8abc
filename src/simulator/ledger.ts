import type { Operation } from './limits.ts';

/** One call, as DICT received it. */
export interface LedgerCall {
  operation: Operation;
  participant: string;
  keyType: string | undefined;
  /** For getEntryByCid. */
  cid: string | undefined;
  /** Time at which the call arrived, in milliseconds since 1970. */
  at: number;
  /** HTTP status of the answer: 200 or that of a problem. For a call that hangs, the status of the withheld answer. */
  status: number;
  /** Type of a problem: NotFound, RateLimited, … */
  problemType: string | undefined;
  /** DICT's own correlation id, as in the answer. */
  correlationId: string;
  /** The correlation id that the caller sent. */
  callerCorrelationId: string;
}

/** Only the newest calls are kept. The counts include all calls. */
const KEPT = 100_000;

/** All calls of DICT and their answers, in the order in which the answers were ready. */
export class Ledger {
  #calls: LedgerCall[] = [];
  readonly #counts = new Map<Operation, number>();

  /** The calls of one operation or of all, oldest first. The last 100,000 to 200,000 calls are kept. */
  calls(operation?: Operation): LedgerCall[] {
    return this.#calls.filter((call) => operation === undefined || call.operation === operation);
  }

  /** The number of calls since the start. */
  count(operation: Operation): number {
    return this.#counts.get(operation) ?? 0;
  }

  record(call: LedgerCall): void {
    this.#counts.set(call.operation, this.count(call.operation) + 1);
    this.#calls.push(call);
    if (this.#calls.length >= 2 * KEPT) this.#calls = this.#calls.slice(-KEPT);
  }
}
