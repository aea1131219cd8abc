// A worker process for worker.test.ts to kill. It prints "ready", and "in <key>" when it is in the step that never
// ends.
import { createPool } from '../../../src/database/pool.ts';
import { startWorker } from '../../../src/engine/index.ts';
import { createLog } from '../../../src/log.ts';
import { activities, twoSteps } from './worker-machine.ts';
import { Script } from './script.ts';

const [url = '', key = ''] = process.argv.slice(2);
const script = new Script();
script.on(key, 'one', async () => {
  process.stdout.write(`in ${key}\n`);
  return new Promise(() => undefined);
});
await startWorker({
  pool: createPool(url),
  log: await createLog({ level: 'warn', pretty: false }),
  machines: [twoSteps],
  activities,
  services: script,
  concurrency: 1,
  graphileSchema: 'graphile_worker',
  schedules: [],
  ticks: {},
  chores: [],
});
process.stdout.write('ready\n');
