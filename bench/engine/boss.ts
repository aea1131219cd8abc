// pg-boss, in a process of its own: a job is a run of one step.
import { PgBoss } from 'pg-boss';
import { setTimeout as delay } from 'node:timers/promises';
import { scriptInput, printAnswer } from '../support/child.ts';
import { inGroups, Stopwatch, type Task, timed } from './contest.ts';

const QUEUE = 'line';
const task = scriptInput<Task & { batch: boolean }>();
const boss = new PgBoss({
  connectionString: task.url,
  max: 2 * task.atOnce + 5,
  supervise: false,
  schedule: false,
});
boss.on('error', (error) => {
  throw error;
});
await boss.start();
await boss.createQueue(QUEUE);

let handled = 0;
let stopped = false;
const handle = async (n: number) => ({ last: n });
/** Its own loop pauses after a fetch that is not full; this one never pauses. */
async function work(): Promise<void> {
  while (!stopped) {
    const jobs = await boss.fetch(QUEUE, { batchSize: task.batch ? task.atOnce : 1 });
    const outputs = await Promise.all(jobs.map(({ data }) => handle(data.n)));
    if (jobs.length === 1) await boss.complete(QUEUE, jobs[0]!.id, outputs[0]);
    else if (jobs.length > 1)
      await boss.complete(
        QUEUE,
        jobs.map(({ id }) => id),
      );
    else await delay(1);
    handled += jobs.length;
  }
}
const workers = Array.from({ length: task.batch ? 1 : task.atOnce }, work);
const took = await timed(task, new Stopwatch(), async (from, n) => {
  const before = handled;
  await inGroups(n, task.aCall, task.atOnce, async (group) =>
    group.length === 1
      ? boss.send(QUEUE, { n: from + group[0]! })
      : boss.insert(
          QUEUE,
          group.map((i) => ({ data: { n: from + i } })),
        ),
  );
  while (handled < before + n) await delay(1);
});
stopped = true;
await Promise.all(workers);
await boss.stop({ graceful: false });
printAnswer(took);
