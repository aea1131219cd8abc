/** How often a worker says that it is alive; workflow.lease() is five of them. */
export const BEAT_MS = 2000;
/** A beat that takes longer is given up with its connection: a half-open one must not cost the lease. */
export const BEAT_TIMEOUT_MS = 3000;
/**
 * A main thread that has not run for so long hangs (nothing of ours blocks it for a second: comparisons and hashes
 * are chunked or in threads), and its thread stops speaking for it.
 */
export const STUCK_NS = 30_000_000_000n;

/** What both threads see of each other, as places of a BigInt64Array: main's last sign of life, the last beat. */
export const SEEN = { main: 0, beat: 1 } as const;

/** What the thread is started with. */
export interface HeartbeatRequest {
  connectionString: string | undefined;
  workerId: string;
  /** Ids of Graphile Worker's pools in this process. */
  pools: string[];
  shared: SharedArrayBuffer;
}

/** A run claimed in a worker's name, as workflow.heartbeat answers. */
export interface HeldClaim {
  runId: string;
  version: number;
  /** Somebody wants it cancelled. */
  cancel: boolean;
}

/** What the thread says: a beat got through, or the main thread does not run. */
export type BeatMessage = { kind: 'beat'; claims: HeldClaim[] } | { kind: 'stuck' };

/** What the thread is told: the pools' ids to beat with, or to end. */
export type ThreadOrder = string[] | 'stop';
