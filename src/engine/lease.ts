/**
 * The times by which a worker counts as alive, and how they fit together.
 *
 * A worker sends a heartbeat every BEAT_MS. A worker that has been silent for LEASE_MS counts as dead: any other
 * worker's sweep, every SWEEP_MS, releases its runs and jobs, and an idle worker looks for due jobs every POLL_MS. So
 * the runs of a dead worker continue within 15 s: 10 s lease + 2 s sweep + 0.5 s poll, and some time for the work
 * itself.
 *
 * A beat that fails after BEAT_TIMEOUT_MS leaves time for a second and a third one within the lease. A worker that has
 * been silent for SILENCE_MS knows that others have taken over its runs, and opens all its connections again.
 */

/** How often a worker sends a heartbeat. */
export const BEAT_MS = 2000;

/** A beat that takes longer fails and its connection is closed: a half-open connection must not cost the lease. */
export const BEAT_TIMEOUT_MS = 3000;

/** Five beats. The database has the same number in workflow.lease(), and a test compares the two. */
export const LEASE_MS = 10_000;

/** How often each worker looks for runs of silent workers and for runs that nothing would advance. */
export const SWEEP_MS = 2000;

/** How often a worker looks for due jobs. Graphile Worker's default of 2 s would delay a retry after 1 s to 3 s. */
export const POLL_MS = 500;

/** After this time without a heartbeat other workers have taken over our runs: longer than the lease and a sweep. */
export const SILENCE_MS = 15_000;

/** How often the main thread signals to the heartbeat thread that it is running. */
export const MAIN_TICK_MS = 500;

/**
 * A main thread that has not run for this time hangs, and its heartbeat thread stops sending beats. Our own code never
 * blocks it for a second: comparisons and hashes are done in chunks or in threads.
 */
export const STUCK_MS = 30_000;

/** The engine's queries are short, but may have to wait for a lock that a person has taken. */
export const QUERY_TIMEOUT_MS = 30_000;

/**
 * A process that freezes in a transaction, or a host that disappears, keeps its locks for at most this time. Postgres
 * then ends the session, at the same time as the lease ends.
 */
export const IDLE_TRANSACTION_MS = 10_000;

/**
 * The same for a transaction that also waits for others than Postgres, such as a broker. Shorter than the time for
 * which a starting worker waits.
 */
export const WAITING_TRANSACTION_MS = 45_000;
