/** Indexes of a BigInt64Array that both threads share: the main thread's last sign of life, and the last beat. */
export const SEEN = { main: 0, beat: 1 } as const;

/** The data with which the thread is started. */
export interface HeartbeatRequest {
  connectionString: string | undefined;
  workerId: string;
  /** Ids of Graphile Worker's pools in this process. */
  pools: string[];
  shared: SharedArrayBuffer;
}

/** A run claimed in a worker's name, as workflow.heartbeat returns it. */
export interface OwnClaim {
  runId: string;
  version: number;
  /** Whether its cancellation was requested. */
  cancel: boolean;
}

/** What the thread reports: a beat succeeded, or the main thread hangs. */
export type BeatMessage = { kind: 'beat'; claims: OwnClaim[] } | { kind: 'stuck' };

/** What the thread receives: the pools' ids to send with each beat, or the order to stop. */
export type ThreadOrder = string[] | 'stop';
