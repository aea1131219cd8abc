// A worker with a step that never ends. It prints `ready`, and `in` when it has begun the step.
import { createPool } from '../../src/database/pool.ts';
import { type Activities, startWorker } from '../../src/engine/index.ts';
import { createLog } from '../../src/log.ts';
import { scriptInput } from '../support/child.ts';
import { line } from './machine.ts';

const activities: Activities<null> = {
  note: async () => {
    process.stdout.write('in\n');
    return new Promise(() => undefined);
  },
};
await startWorker({
  pool: createPool(scriptInput<{ url: string }>().url),
  log: await createLog({ level: 'error', pretty: false }),
  machines: [line(1)],
  activities,
  services: null,
  concurrency: 2,
  graphileSchema: 'graphile_worker',
  schedules: [],
  ticks: {},
  chores: [],
});
process.stdout.write('ready\n');
