/**
 * What the caller may do about an error:
 * - `retryable`: the same call may succeed later;
 * - `not_retryable`: it will fail again until somebody changes something;
 * - `rate_limited`: it may be tried again, not before `retryAt` (when known). Costs no attempt.
 */
export type ErrorClass = 'retryable' | 'not_retryable' | 'rate_limited';

export interface DvErrorOptions {
  class?: ErrorClass;
  /** Earliest time of the next attempt, for `rate_limited`. */
  retryAt?: Date;
  /** DICT's or the Bridge's own correlation id, to quote in a support ticket. */
  correlationId?: string;
  /** DICT's problem type (NotFound, EntryKeyOwnedByDifferentPerson, …), when the error is DICT's answer. */
  problemType?: string;
  cause?: unknown;
}

/**
 * Every error a user may meet. The code (`DV_…`) is stable and documented in docs/reference/errors.md; the message is a
 * plain sentence that says what to do and never holds personal data (keys, names, tax ids, account numbers).
 */
export class DvError extends Error {
  readonly code: string;
  readonly class: ErrorClass;
  readonly retryAt: Date | undefined;
  readonly correlationId: string | undefined;
  readonly problemType: string | undefined;

  constructor(code: string, message: string, options: DvErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'DvError';
    this.code = code;
    this.class = options.class ?? 'not_retryable';
    this.retryAt = options.retryAt;
    this.correlationId = options.correlationId;
    this.problemType = options.problemType;
  }
}

/** Wrong usage or configuration: exit code 2. Everything else that fails exits 1. */
export class UsageError extends DvError {
  override name = 'UsageError';
}
