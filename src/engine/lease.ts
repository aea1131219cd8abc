/**
 * The times by which a worker counts as alive, and how they fit together.
 *
 * A worker beats every BEAT_MS. One that has been silent for LEASE_MS counts as dead: any other worker's sweep, every
 * SWEEP_MS, gives its runs and jobs back, and an idle worker looks for due jobs every POLL_MS. So the runs of a dead
 * worker go on within 15 s: 10 s lease + 2 s sweep + 0.5 s poll, and some time for the work itself.
 *
 * A beat that is given up after BEAT_TIMEOUT_MS leaves time for a second and a third one within the lease. A worker that
 * has been silent for SILENCE_MS knows that others have taken its runs over, and makes its connections anew.
 */

/** How often a worker says that it is alive. */
export const BEAT_MS = 2000;

/** A beat that takes longer is given up with its connection: a half-open one must not cost the lease. */
export const BEAT_TIMEOUT_MS = 3000;

/** Five beats. The database has the same number as workflow.lease(), and a test compares the two. */
export const LEASE_MS = 10_000;

/** How often each worker looks for runs of silent workers and for runs that nothing would move. */
export const SWEEP_MS = 2000;

/** How often due jobs are looked for. 1 s retries must not come at 3 s, and Graphile Worker's default is 2 s. */
export const POLL_MS = 500;

/** By now other workers have taken over what this one held: longer than the lease and a sweep. */
export const SILENCE_MS = 15_000;

/** How often the main thread tells the heartbeat thread that it runs. */
export const MAIN_TICK_MS = 500;

/**
 * A main thread that has not run for so long hangs (nothing of ours blocks it for a second: comparisons and hashes
 * are chunked or in threads), and its thread stops speaking for it.
 */
export const STUCK_MS = 30_000;

/** What the engine asks is short, and may wait for a person's lock a while. */
export const QUERY_TIMEOUT_MS = 30_000;

/**
 * A process that freezes in a transaction, or a host that is gone without a word, keeps its locks for so long and no
 * longer: Postgres then ends the session, when the lease runs out.
 */
export const IDLE_TRANSACTION_MS = 10_000;

/** The same for a transaction that waits for more than Postgres, such as a broker; less than a worker that starts waits. */
export const WAITING_TRANSACTION_MS = 45_000;
