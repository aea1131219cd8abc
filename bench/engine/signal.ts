// Milliseconds from a signal's call to the first line of the step that waited for it, one run after the other.
import { createPool } from '../../src/database/pool.ts';
import { type Activities, type Machine, signalRun, startRun, startWorker } from '../../src/engine/index.ts';
import { createLog } from '../../src/log.ts';
import { scriptInput, printAnswer } from '../support/child.ts';

const { url, signals, atOnce } = scriptInput<{ url: string; signals: number; atOnce: number }>();
const machine: Machine = {
  name: 'waits',
  version: 1,
  initial: 'waiting',
  states: {
    waiting: { kind: 'wait', signals: ['go'], on: { go: 'going' } },
    going: { kind: 'activity', task: 'go', on: { done: 'end' } },
    end: { kind: 'terminal', closesAs: 'COMPLETED' },
  },
};
let begun = Promise.withResolvers<number>();
const activities: Activities<null> = {
  go: async () => {
    begun.resolve(performance.now());
    return { outcome: 'done' };
  },
};
const pool = createPool(url, { max: 2 * atOnce + 5 });
let ended = Promise.withResolvers<void>();
const worker = await startWorker({
  pool,
  log: await createLog({ level: 'error', pretty: false }),
  machines: [machine],
  activities,
  services: null,
  concurrency: atOnce,
  graphileSchema: 'graphile_worker',
  schedules: [],
  ticks: {},
  chores: [],
  onAttempt: () => ended.resolve(),
});
const took: number[] = [];
for (let i = 0; i < signals + 10; i++) {
  const run = await startRun(pool, machine.name, `signal ${i}`, {}, 'bench');
  begun = Promise.withResolvers();
  ended = Promise.withResolvers();
  const sent = performance.now();
  await signalRun(pool, run, 'go', {}, 'bench');
  const ms = (await begun.promise) - sent;
  // The first runs warm up.
  if (i >= 10) took.push(ms);
  await ended.promise;
}
await worker.stop();
await pool.end();
printAnswer(took);
