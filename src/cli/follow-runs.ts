import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from 'pg';
import { anyWorkerAlive, listRuns, type RunView } from '../engine/index.ts';
import { DvError } from '../errors/dv-error.ts';
import { childrenOfRuns, waitsForPerson } from './run-queries.ts';

const POLL_MS = 200;
/** A worker that is starting sends its first heartbeat within this time. */
const NO_WORKER_MS = 5000;

/**
 * Follows runs and all their children until each has ended or waits for a person. Returns all of them, oldest first.
 * `onMove` is called for every new status or state. Throws DV_NO_WORKER if no worker is alive for some seconds.
 */
export async function follow(
  pool: Pool,
  runIds: readonly string[],
  onMove: (run: RunView) => void,
): Promise<RunView[]> {
  const ids = new Set(runIds);
  const seen = new Map<string, string>();
  let workerSeen = performance.now();
  for (;;) {
    const runs = await listRuns(pool, { ids: [...ids], limit: ids.size });
    const moved = runs.filter((run) => seen.get(run.id) !== `${run.status} ${run.state}`);
    for (const run of moved.toReversed()) {
      seen.set(run.id, `${run.status} ${run.state}`);
      onMove(run);
    }
    const known = ids.size;
    for (const child of await childrenOfRuns(pool, moved)) ids.add(child.id);
    if (ids.size > known) continue;
    if (runs.every((run) => run.closedAt !== null || waitsForPerson(run))) return runs.toReversed();

    if (await anyWorkerAlive(pool)) workerSeen = performance.now();
    else if (performance.now() - workerSeen > NO_WORKER_MS) {
      throw new DvError(
        'DV_NO_WORKER',
        `No worker is alive, so the run stays in the queue (${runIds.join(', ')}). Start a worker with \`dict-vsync worker\`.`,
      );
    }
    await delay(POLL_MS);
  }
}
