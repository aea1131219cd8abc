import { setTimeout as delay } from 'node:timers/promises';
import { migrate } from '../../src/database/migrate/migrate.ts';
import { createPool } from '../../src/database/pool.ts';
import type { Bench } from '../support/benchmark.ts';
import { runScript } from '../support/child.ts';
import { PARTICIPANT } from '../support/entries.ts';
import type { BenchDatabase } from '../support/postgres.ts';
import { alone, type Row } from '../support/rows.ts';
import { startSimulatorProcess } from '../support/simulator.ts';
import { ownDatabase } from './contestants.ts';
import { bundleIn, startService, statementsOf } from './service.ts';
import { takeover } from './takeover.ts';

export interface PromiseOptions {
  atOnce: number;
  signals: number;
  kills: number;
  starts: number;
  /** Seconds. */
  idle: number;
}

/** The measurements that only ours has. */
export async function promises(
  options: PromiseOptions,
  database: BenchDatabase,
  bench: Bench,
): Promise<Row[]> {
  const { resources, say } = bench;
  const fresh = async (name: string) => {
    const url = await ownDatabase(database.pool, database.url, name);
    await migrate(url);
    return url;
  };

  say('signals');
  const { answer: signals } = await runScript<number[]>(new URL('./signal.ts', import.meta.url), {
    url: await fresh('signals'),
    signals: options.signals,
    atOnce: options.atOnce,
  });

  const takenOver: number[] = [];
  const killUrl = await fresh('kills');
  const killPool = createPool(killUrl, { max: 2 });
  for (let i = 0; i < options.kills; i++) {
    say(`killing worker ${i + 1} of ${options.kills}`);
    takenOver.push(await takeover(killUrl, killPool, resources));
    await killPool.query(`select workflow.cancel(id) from workflow.runs where closed_at is null`);
  }
  await killPool.end();

  const url = await fresh('service');
  const simulator = await startSimulatorProcess(
    { url, keyTypes: ['CPF'], keysPerType: 100, divergent: 0, options: {} },
    resources,
  );
  const environment = {
    DATABASE_URL: url,
    PARTICIPANT_ISPB: PARTICIPANT,
    BRIDGE_ADDRESS: simulator.address,
    TEMP_DIR: bench.directory,
    LOG_LEVEL: 'error',
  };
  const program = await bundleIn(bench.directory);
  // The first start stores the machine, which later starts find.
  await (await startService(program, environment, resources)).stop();
  const starts: number[] = [];
  for (let i = 0; i < options.starts; i++) {
    say(`worker start ${i + 1} of ${options.starts}`);
    const service = await startService(program, environment, resources);
    starts.push(service.startedInMs);
    await service.stop();
  }
  const service = await startService(program, environment, resources);
  await database.pool.query('create extension if not exists pg_stat_statements schema public');
  say(`an idle worker, ${options.idle} s`);
  await delay(3000);
  const before = await statementsOf(database.pool, 'bench_service');
  await delay(options.idle * 1000);
  const statements = (await statementsOf(database.pool, 'bench_service')) - before;
  await service.stop();

  return [
    alone({ what: 'signal → its step begins, p95', unit: 'ms', ours: [percentile(signals, 0.95)] }, 10),
    alone({ what: 'signal → its step begins, median', unit: 'ms', ours: signals }),
    ...(takenOver.length === 0
      ? []
      : [
          alone(
            {
              what: 'worker killed in a step → another continues, worst',
              unit: 's',
              ours: [Math.max(...takenOver)],
            },
            15,
          ),
        ]),
    alone({ what: 'worker start → ready, schema up to date', unit: 'ms', ours: starts }, 500),
    alone({ what: "an idle worker's statements", unit: '/s', ours: [statements / options.idle] }, 5),
  ];
}

function percentile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)]!;
}
