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
