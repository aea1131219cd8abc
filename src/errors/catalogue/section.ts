/**
 * What the caller may do about an error:
 * - `retryable`: the same call may succeed later;
 * - `not_retryable`: it will fail again until somebody changes something;
 * - `rate_limited`: it may be tried again, but not before `retryAt` (if known). This uses up no attempt.
 *
 * The values are stored in the database.
 */
export type ErrorClass = 'retryable' | 'not_retryable' | 'rate_limited';

/** The exit code of a command that ends with the error: 2 for wrong usage or configuration, otherwise 1. */
export type ErrorExit = 1 | 2;

/**
 * What the catalogue says about a code: sentences for people, with Markdown's backticks. `docs/….md` becomes a link.
 */
export interface CatalogueEntry {
  /** The usual class. Where a case has another class, the code that throws it says so and why. */
  class: ErrorClass;
  /**
   * Only for `not_retryable`: the step ends, but a new run may succeed later without anybody's help, because the cause
   * is at DICT or the Bridge. Such a reconciliation is retried automatically.
   */
  passes?: true;
  exit: ErrorExit;
  /** Where the user sees it. */
  where: string;
  meaning: string;
  /** What to do about it. */
  remedy: string;
}

/** A heading of docs/reference/errors.md and the codes below it. */
export interface Section {
  title: string;
  intro?: string;
  errors: Readonly<Record<`DV_${string}`, CatalogueEntry>>;
}
