import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import type { Executor } from '../../../src/engine/executor.ts';
import { startRun } from '../../../src/engine/index.ts';
import { storeMachines } from '../../../src/engine/store-machines.ts';
import type { RunningWorker } from '../../../src/engine/worker.ts';
import { useTestDatabase } from '../../support/database.ts';
import { Script } from './script.ts';
import { type Bench, captureLog, executorOf, workerOf } from './support.ts';

export interface EngineOptions extends Omit<Bench, 'pool'> {
  /** A database for the whole file (default), or a fresh one, and a script without behaviours, for each test. */
  databasePer?: 'file' | 'test';
  /** The worker id of `executor`; default `w`. */
  executorId?: string;
  log?: Parameters<typeof executorOf>[3];
}

/**
 * The means of an engine test file: a migrated database in which the machines are stored, a script of what the
 * activities do, and an executor. Call it at the top of the file.
 */
export function useEngine({ machines, activities, ...options }: EngineOptions) {
  const { databasePer = 'file', executorId = 'w', log = captureLog().log } = options;
  const database = useTestDatabase(databasePer);
  const script = new Script();
  const bench = (): Bench => ({ pool: database.pool, machines, activities });
  const workers: RunningWorker[] = [];
  let made: Promise<Executor<Script>> | undefined;

  const prepare = async (): Promise<void> => {
    made = undefined;
    await storeMachines(database.pool, machines);
  };
  const stopWorkers = async () => Promise.all(workers.splice(0).map(async (worker) => worker.stop()));
  if (databasePer === 'file') {
    beforeAll(prepare);
    beforeEach(() => (made = undefined));
    afterAll(stopWorkers);
  } else {
    beforeEach(async () => {
      script.clear();
      await prepare();
    });
    afterEach(stopWorkers);
  }

  return {
    database,
    script,
    bench,
    /** Advances runs as a living worker; each test has its own. */
    executor: {
      async advance(run: string) {
        made ??= executorOf(bench(), script, executorId, log);
        return (await made).advance(run);
      },
    },
    /** Another living worker's executor. */
    executorAs: async (id: string) => executorOf(bench(), script, id),
    /** A worker as the service starts it; stopped when the database is dropped, if the test does not stop it before. */
    async work(change: Parameters<typeof workerOf>[2] = {}): Promise<RunningWorker> {
      const worker = await workerOf(bench(), script, change);
      workers.push(worker);
      return worker;
    },
    start: async (machine: string, key: string) => startRun(database.pool, machine, key, {}, 'test'),
  };
}
