// Ours, in a process of its own: a worker and the callers that start runs, as in the peers' scripts.
import { createPool } from '../../src/database/pool.ts';
import { startRun, startRuns, startWorker } from '../../src/engine/index.ts';
import { createLog } from '../../src/log.ts';
import { scriptInput, printAnswer } from '../support/child.ts';
import { inGroups, Stopwatch, type Task, timed } from './contest.ts';
import { activities, line } from './machine.ts';

const task = scriptInput<Task>();
const machine = line(task.steps);
const pool = createPool(task.url, { max: 2 * task.atOnce + 5 });

/** Steps that have not ended yet, and what is called when all have. */
let open = 0;
let allEnded = () => {};
const stopwatch = new Stopwatch();
const worker = await startWorker({
  pool,
  log: await createLog({ level: 'error', pretty: false }),
  machines: [machine],
  activities: {
    note: async (step, services) => {
      if (step.state === 'step1') stopwatch.begin();
      return activities['note']!(step, services);
    },
  },
  services: null,
  concurrency: task.atOnce,
  graphileSchema: 'graphile_worker',
  schedules: [],
  ticks: {},
  chores: [],
  // Called after the commit; a run's last step is its end.
  onAttempt: ({ outcome }) => {
    if (outcome !== 'completed') throw new Error(`A step ${outcome}.`);
    if (--open > 0) return;
    stopwatch.end();
    allEnded();
  },
});

/** Starts runs, with as many simultaneous callers as simultaneous runs, and waits until all have ended. */
async function play(from: number, n: number): Promise<void> {
  const ended = Promise.withResolvers<void>();
  open = n * task.steps;
  allEnded = ended.resolve;
  await inGroups(n, task.aCall, task.atOnce, async (group) => {
    const runs = group.map((i) => ({ machine: machine.name, key: `run ${from + i}`, input: {} }));
    return runs.length === 1
      ? startRun(pool, machine.name, `run ${from + group[0]!}`, {}, 'bench')
      : startRuns(pool, runs, 'bench');
  });
  await ended.promise;
}

const took = await timed(task, stopwatch, async (from, n) => {
  if (task.atOnce > 1) await play(from, n);
  else for (let i = 0; i < n; i++) await play(from + i, 1);
});
await worker.stop();
await pool.end();
printAnswer(took);
