import { entryOf, type ErrorCode } from './catalogue.ts';
import type { ErrorClass, ErrorExit } from './catalogue/section.ts';

export type { ErrorCode } from './catalogue.ts';
export type { ErrorClass, ErrorExit } from './catalogue/section.ts';

export interface DvErrorOptions {
  /** Only if this case has another class than its code usually has. */
  class?: ErrorClass;
  /** Only if this case has another exit code than usual: an invalid value is wrong usage (2) if a flag gave it. */
  exit?: ErrorExit;
  /** Earliest time of the next attempt, for `rate_limited`. */
  retryAt?: Date | undefined;
  /** DICT's or the Bridge's own correlation id, to quote in a support ticket. */
  correlationId?: string | undefined;
  /** DICT's problem type (NotFound, EntryKeyOwnedByDifferentPerson, …), if the error is DICT's answer. */
  problemType?: string | undefined;
  cause?: unknown;
}

/**
 * Every error that a user may see. The code (`DV_…`) is stable. The catalogue says its class, its exit code and what to
 * do (docs/reference/errors.md). The message is a plain sentence that says what to do. It never contains personal data
 * (keys, names, tax ids, account numbers).
 */
export class DvError extends Error {
  readonly code: ErrorCode;
  readonly class: ErrorClass;
  readonly exit: ErrorExit;
  readonly retryAt: Date | undefined;
  readonly correlationId: string | undefined;
  readonly problemType: string | undefined;

  constructor(code: ErrorCode, message: string, options: DvErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'DvError';
    this.code = code;
    this.class = options.class ?? entryOf(code).class;
    this.exit = options.exit ?? entryOf(code).exit;
    this.retryAt = options.retryAt;
    this.correlationId = options.correlationId;
    this.problemType = options.problemType;
  }
}
