// Ours, in a process of its own: worker and those who start runs, as in the peers' scripts.
import { createPool } from '../../src/database/pool.ts';
import { startRun, startWorker } from '../../src/engine/index.ts';
import { createLog } from '../../src/log.ts';
import { scriptInput, tell } from '../support/child.ts';
import { atOnce, type Task, timed } from './contest.ts';
import { activities, line } from './machine.ts';

const task = scriptInput<Task>();
const machine = line(task.steps);
const pool = createPool(task.url, { max: 2 * task.atOnce + 5 });

let open = 0;
let settled = Promise.withResolvers<void>();
const worker = await startWorker({
  pool,
  log: await createLog({ level: 'error', pretty: false }),
  machines: [machine],
  activities,
  services: null,
  concurrency: task.atOnce,
  graphileSchema: 'graphile_worker',
  schedules: [],
  ticks: {},
  chores: [],
  // Told after the commit; a run's last step is its end.
  onAttempt: ({ outcome }) => {
    if (outcome !== 'completed') throw new Error(`A step ${outcome}.`);
    if (--open === 0) settled.resolve();
  },
});

const took = await timed(task, async (from, n) => {
  settled = Promise.withResolvers();
  open = n * task.steps;
  await atOnce(n, task.atOnce, async (i) => {
    if (task.atOnce > 1) return startRun(pool, machine.name, `run ${from + i}`, {}, 'bench');
    const before = open;
    open = task.steps;
    settled = Promise.withResolvers();
    await startRun(pool, machine.name, `run ${from + i}`, {}, 'bench');
    await settled.promise;
    open = before - task.steps;
    if (open === 0) settled.resolve();
  });
  if (n > 0) await settled.promise;
});
await worker.stop();
await pool.end();
tell(took);
