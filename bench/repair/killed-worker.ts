import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from 'pg';
import { anyWorkerAlive } from '../../src/engine/index.ts';
import type { System } from '../support/system.ts';

/** `dict-vsync worker` in a process of its own, to be killed. */
export interface WorkerProcess {
  kill(): Promise<void>;
}

/** Starts it; returns when the database knows a worker (the one that it takes over from counts too). */
export async function startWorkerProcess(
  { database, environment }: System,
  resources: AsyncDisposableStack,
): Promise<WorkerProcess> {
  const main = new URL('../../src/cli/main.ts', import.meta.url);
  const child = spawn(process.execPath, [main.pathname, 'worker'], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, ...environment },
  });
  const ended = once(child, 'exit');
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
  };
  resources.defer(kill);
  while (!(await anyWorkerAlive(database.pool))) await delay(200);
  return { kill };
}

/** Waits until a run has decided about N divergences. */
export async function decided(pool: Pool, run: string, least: number): Promise<void> {
  for (;;) {
    const { rows } = await pool.query<{ n: number }>(
      "select count(*)::integer as n from dict.divergences where run_id = $1 and decision <> 'PENDING'",
      [run],
    );
    if (rows[0]!.n >= least) return;
    await delay(200);
  }
}
