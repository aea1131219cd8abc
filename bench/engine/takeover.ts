import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Pool } from 'pg';
import { startRun } from '../../src/engine/index.ts';
import { scriptEnvironment } from '../support/child.ts';

interface StuckWorker {
  child: ChildProcess;
  ready: Promise<void>;
  /** When it began the step. */
  began: Promise<number>;
}

/** Two workers; the one that works on a run is killed. Seconds until the other has begun the step again. */
export async function takeover(url: string, pool: Pool, resources: AsyncDisposableStack): Promise<number> {
  const workers = [startStuckWorker(url, resources), startStuckWorker(url, resources)];
  await Promise.all(workers.map(async ({ ready }) => ready));
  await startRun(pool, 'line1', `held ${performance.now()}`, {}, 'bench');
  const [first, second] = workers as [StuckWorker, StuckWorker];
  const worksFirst = await Promise.race([first.began.then(() => true), second.began.then(() => false)]);
  const [victim, heir] = worksFirst ? [first, second] : [second, first];
  const gone = once(victim.child, 'exit');
  const killed = performance.now();
  victim.child.kill('SIGKILL');
  await gone;
  const seconds = ((await heir.began) - killed) / 1000;
  const left = once(heir.child, 'exit');
  heir.child.kill('SIGKILL');
  await left;
  return seconds;
}

function startStuckWorker(url: string, resources: AsyncDisposableStack): StuckWorker {
  const child = spawn(process.execPath, [new URL('./stuck-worker.ts', import.meta.url).pathname], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: scriptEnvironment({ url }),
  });
  resources.defer(() => void child.kill('SIGKILL'));
  const ready = Promise.withResolvers<void>();
  const began = Promise.withResolvers<number>();
  createInterface({ input: child.stdout }).on('line', (said) => {
    if (said === 'ready') ready.resolve();
    else began.resolve(performance.now());
  });
  return { child, ready: ready.promise, began: began.promise };
}
