import type { Operation } from './limits.ts';

/** One call as DICT saw it. */
export interface LedgerCall {
  operation: Operation;
  participant: string;
  keyType: string | undefined;
  /** Of getEntryByCid. */
  cid: string | undefined;
  /** Milliseconds since 1970, when the call came in. */
  at: number;
  /** HTTP status of the answer: 200 or a problem's. A call that hangs has that of the answer it withheld. */
  status: number;
  /** Of a problem: NotFound, RateLimited, … */
  problemType: string | undefined;
  /** DICT's own, as in the answer. */
  correlationId: string;
  /** What the caller sent. */
  callerCorrelationId: string;
}

/** The newest calls kept one by one; the counts are of all. */
const KEPT = 100_000;

/** What was asked of DICT and how it answered, in the order the answers were ready. */
export class Ledger {
  #calls: LedgerCall[] = [];
  readonly #counts = new Map<Operation, number>();

  /** The calls, oldest first, of one operation or of all; the last 100,000 to 200,000 are kept. */
  calls(operation?: Operation): LedgerCall[] {
    return this.#calls.filter((call) => operation === undefined || call.operation === operation);
  }

  /** How many calls there were since the start. */
  count(operation: Operation): number {
    return this.#counts.get(operation) ?? 0;
  }

  record(call: LedgerCall): void {
    this.#counts.set(call.operation, this.count(call.operation) + 1);
    this.#calls.push(call);
    if (this.#calls.length >= 2 * KEPT) this.#calls = this.#calls.slice(-KEPT);
  }
}
