import type { Command } from 'commander';
import { setTimeout as delay } from 'node:timers/promises';
import { migrate } from '../../src/database/migrate.ts';
import { createPool } from '../../src/database/pool.ts';
import { benchmark, type Bench, type Findings } from '../support/benchmark.ts';
import { runScript } from '../support/child.ts';
import { PARTICIPANT } from '../support/entries.ts';
import { count } from '../support/flags.ts';
import { type BenchDatabase, startDatabase } from '../support/postgres.ts';
import { against, alone, type Row, type Unit } from '../support/rows.ts';
import { startSimulatorProcess } from '../support/simulator.ts';
import { type Contestant, contestants, ownDatabase } from './contestants.ts';
import type { Task } from './contest.ts';
import { startService, statementsOf } from './service.ts';
import { takeover } from './takeover.ts';

interface Options {
  runs: number;
  steps: number;
  atOnce: number;
  single: number;
  oneStep: number;
  rounds: number;
  signals: number;
  kills: number;
  starts: number;
  idle: number;
}

/** `bench engine`: our engine beside others that keep their work in Postgres, and its own promises. */
export function engine(): Command {
  return benchmark<Options>(
    'engine',
    'Runs of steps through our engine, DBOS Transact and pg-boss; signals, take-over, start and idleness of ours.',
    (command) =>
      command
        .option('--runs <N>', 'runs of several steps a round', count(1), 300)
        .option('--steps <N>', 'steps of such a run', count(1), 10)
        .option('--at-once <N>', 'runs at once', count(2), 20)
        .option('--single <N>', 'runs one at a time a round', count(1), 40)
        .option('--one-step <N>', 'runs of one step a round', count(1), 2000)
        .option('--rounds <N>', 'rounds', count(1), 5)
        .option('--signals <N>', 'signals', count(1), 300)
        .option('--kills <N>', 'workers killed in a step', count(1), 2)
        .option('--starts <N>', 'worker starts', count(1), 7)
        .option('--idle <SECONDS>', 'how long the idle worker is watched', count(1), 20),
    measure,
  );
}

async function measure(options: Options, bench: Bench): Promise<Findings> {
  const database = await startDatabase(bench.directory, bench.resources, {
    shared_preload_libraries: 'pg_stat_statements',
  });
  const { ours, dbos, boss, bossInBatches, absent } = await contestants(database);
  const all = [ours, dbos, boss, bossInBatches].filter((each) => each !== undefined);
  const workflows = [ours, dbos].filter((each) => each !== undefined);
  const { steps, rounds, atOnce } = options;

  const many = { runs: options.runs, steps, atOnce, aCall: 1, warmUp: 5 * atOnce };
  const manySeconds = await play('runs at once', many, workflows, rounds, bench);
  const single = { runs: options.single, steps, atOnce: 1, aCall: 1, warmUp: 5 };
  const singleSeconds = await play('runs one at a time', single, workflows, rounds, bench);
  const short = { runs: options.oneStep, steps: 1, atOnce, aCall: atOnce, warmUp: 5 * atOnce };
  const shortSeconds = await play('runs of one step', short, all, rounds, bench);
  const lone = { ...short, aCall: 1 };
  const loneSeconds = await play('runs of one step, a call each', lone, all, rounds, bench);

  const rate = (task: Omit<Task, 'url'>) => (seconds: number) => (task.runs * task.steps) / seconds;
  const stepMs = (seconds: number) => (seconds * 1000) / (single.runs * single.steps);
  return {
    sizes: { ...options },
    database,
    rows: [
      ...versus(`steps of ${steps}-step runs, ${atOnce} at once`, '/s', manySeconds, rate(many), ours, [
        { peer: dbos, least: 2 },
      ]),
      ...versus(`one step of ${steps}, one run at a time`, 'ms', singleSeconds, stepMs, ours, [
        { peer: dbos, most: 0.6 },
      ]),
      ...versus(`1-step runs, ${atOnce} at once`, '/s', shortSeconds, rate(short), ours, [
        { peer: boss, least: 1 },
        { peer: bossInBatches },
        { peer: dbos, least: 2 },
      ]),
      ...versus(`the same, each started by a call of its own`, '/s', loneSeconds, rate(lone), ours, [
        { peer: boss },
        { peer: bossInBatches },
        { peer: dbos },
      ]),
      ...(await promises(options, database, bench)),
    ],
    notes: [
      ...absent,
      'All on one server, each in a database and a Node process of its own that both starts the runs and does them, round by round alternately. A step does nothing and returns {last: name}, which each keeps. A run counts when its end is committed. Runs of one step are started as many a call as there are at once (ours by startRuns, pg-boss by insert; DBOS Transact has a call each), all others by a call each. One step, one run at a time: from the call that starts the run to its end, divided by its steps.',
      'DBOS Transact: startWorkflow and getResult in one process, without a queue. pg-boss: send, fetch and complete without pauses, without history or steps; "in batches" fetches as many jobs as there are runs at once and completes them together.',
      'Signal: from the call of signalRun to the first line of the step. Killed: from SIGKILL to the first line of the step in the other worker. Start: `dict-vsync worker` from the start of its process until /readyz says so. Idle: statements that reach the server from it, by pg_stat_statements.',
    ],
  };
}

/** Each plays each round, in an order that turns; their seconds by name. */
async function play(
  what: string,
  task: Omit<Task, 'url'>,
  players: readonly Contestant[],
  rounds: number,
  { say }: Bench,
): Promise<Map<string, number[]>> {
  const seconds = new Map<string, number[]>(players.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    say(`${what}, round ${round + 1} of ${rounds}`);
    for (const player of round % 2 === 0 ? players : players.toReversed()) {
      seconds.get(player.name)!.push(await player.play(task));
    }
  }
  return seconds;
}

function versus(
  what: string,
  unit: Unit,
  seconds: Map<string, number[]>,
  figure: (seconds: number) => number,
  us: Contestant,
  peers: readonly { peer: Contestant | undefined; most?: number; least?: number }[],
): Row[] {
  const ours = seconds.get(us.name)!.map(figure);
  const present = peers.filter(({ peer }) => peer !== undefined);
  if (present.length === 0) return [alone({ what, unit, ours })];
  return present.map(({ peer, ...target }) =>
    against({ what, unit, ours, against: peer!.name, theirs: seconds.get(peer!.name)!.map(figure) }, target),
  );
}

/** What ours is measured on alone. */
async function promises(options: Options, database: BenchDatabase, bench: Bench): Promise<Row[]> {
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
  // The first start stores what later ones find.
  await (await startService(environment, resources)).stop();
  const starts: number[] = [];
  for (let i = 0; i < options.starts; i++) {
    say(`worker start ${i + 1} of ${options.starts}`);
    const service = await startService(environment, resources);
    starts.push(service.startedInMs);
    await service.stop();
  }
  const service = await startService(environment, resources);
  await database.pool.query('create extension if not exists pg_stat_statements');
  say(`an idle worker, ${options.idle} s`);
  await delay(5000);
  const before = await statementsOf(database.pool, 'bench_service');
  await delay(options.idle * 1000);
  const statements = (await statementsOf(database.pool, 'bench_service')) - before;
  await service.stop();

  return [
    alone({ what: 'signal → its step begins, p95', unit: 'ms', ours: [percentile(signals, 0.95)] }, 10),
    alone({ what: 'signal → its step begins, median', unit: 'ms', ours: signals }),
    alone(
      { what: 'worker killed in a step → another goes on, worst', unit: 's', ours: [Math.max(...takenOver)] },
      15,
    ),
    alone({ what: 'worker start → ready, schema up to date', unit: 'ms', ours: starts }, 500),
    alone({ what: "an idle worker's statements", unit: '/s', ours: [statements / options.idle] }, 5),
  ];
}

function percentile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)]!;
}
