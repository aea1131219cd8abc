// DBOS Transact, in a process of its own.
import { DBOS } from '@dbos-inc/dbos-sdk';
import { scriptInput, printAnswer } from '../support/child.ts';
import { atOnce, Stopwatch, type Task, timed } from './contest.ts';

const task = scriptInput<Task>();
DBOS.setConfig({
  name: 'bench',
  systemDatabaseUrl: task.url,
  systemDatabasePoolSize: 2 * task.atOnce + 5,
  logLevel: 'error',
});
const stopwatch = new Stopwatch();
const line = DBOS.registerWorkflow(
  async (steps: number) => {
    stopwatch.begin();
    for (let i = 1; i <= steps; i++)
      await DBOS.runStep(async () => ({ last: `step${i}` }), { name: `step${i}` });
    stopwatch.end();
  },
  { name: 'line' },
);
await DBOS.launch();
const took = await timed(task, stopwatch, async (from, n) =>
  atOnce(n, task.atOnce, async (i) => {
    const run = await DBOS.startWorkflow(line, {
      workflowID: `run ${task.steps} ${process.pid} ${from + i}`,
    })(task.steps);
    await run.getResult();
  }),
);
await DBOS.shutdown();
printAnswer(took);
