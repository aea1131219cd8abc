/**
 * What the caller may do about an error:
 * - `retryable`: the same call may succeed later;
 * - `not_retryable`: it will fail again until somebody changes something;
 * - `rate_limited`: it may be tried again, not before `retryAt` (when known). Costs no attempt.
 *
 * The values are stored in the database.
 */
export type ErrorClass = 'retryable' | 'not_retryable' | 'rate_limited';

/** The exit code of a command that ends with the error: 2 for wrong usage or configuration, else 1. */
export type ErrorExit = 1 | 2;

/** What is said of a code. Sentences, with Markdown's backticks, for people; `docs/….md` becomes a link. */
export interface CatalogueEntry {
  /** The usual class; where a case is another, the place that throws it says so and why. */
  class: ErrorClass;
  exit: ErrorExit;
  /** Where the user meets it. */
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
