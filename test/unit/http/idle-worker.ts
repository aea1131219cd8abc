import type { Pool } from 'pg';
import { pino } from 'pino';
import { type RunningWorker, startWorker } from '../../../src/engine/index.ts';

/** A real worker that has nothing to do. */
export async function startIdleWorker(pool: Pool): Promise<RunningWorker> {
  return startWorker({
    pool,
    log: pino({ level: 'silent' }),
    machines: [],
    activities: {},
    services: undefined,
    concurrency: 1,
    graphileSchema: 'graphile_worker',
    schedules: [],
    ticks: {},
    chores: [],
  });
}
