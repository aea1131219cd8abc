import type { Command } from '../../src/cli/program.ts';
import { benchmark, type Bench, type Findings } from '../support/benchmark.ts';
import { count } from '../support/flags.ts';
import { startDatabase } from '../support/postgres.ts';
import { against, alone, type Row, type Unit } from '../support/rows.ts';
import { type Contestant, contestants } from './contestants.ts';
import type { Task, Took } from './contest.ts';
import { promises, type PromiseOptions } from './promises.ts';

interface Options extends PromiseOptions {
  runs: number;
  steps: number;
  single: number;
  oneStep: number;
  rounds: number;
}

/** `bench engine`: our engine beside others that keep their work in Postgres, and its own promises. */
export function engine(): Command {
  return benchmark<Options>(
    'engine',
    'Runs of steps through our engine, DBOS Transact and pg-boss; also our own signals, take-over, start and idleness.',
    (command) =>
      command
        .option('--runs <N>', 'runs of several steps per round', count(1), 300)
        .option('--steps <N>', 'steps of such a run', count(1), 10)
        .option('--at-once <N>', 'simultaneous runs', count(2), 20)
        .option('--single <N>', 'runs that execute one at a time, per round', count(1), 40)
        .option('--one-step <N>', 'runs of one step per round', count(1), 2000)
        .option('--rounds <N>', 'rounds', count(1), 5)
        .option('--signals <N>', 'signals', count(1), 300)
        .option('--kills <N>', 'workers to kill in a step; 15 s each', count(0), 2)
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
  const manys = await play('simultaneous runs', many, workflows, rounds, bench);
  const single = { runs: options.single, steps, atOnce: 1, aCall: 1, warmUp: 5 };
  const singles = await play('runs one at a time', single, workflows, rounds, bench);
  const lone = { runs: options.oneStep, steps: 1, atOnce, aCall: 1, warmUp: 5 * atOnce };
  const lones = await play('runs of one step', lone, all, rounds, bench);
  const bulk = { ...lone, aCall: atOnce };
  const queues = all.filter((player) => player !== dbos);
  const bulks = await play('runs of one step, many started per call', bulk, queues, rounds, bench);

  const rate =
    (task: Omit<Task, 'url'>) =>
    ({ seconds }: Took) =>
      (task.runs * task.steps) / seconds;
  const stepMs = ({ stepping }: Took) => (stepping * 1000) / (single.runs * single.steps);
  const runMs = ({ seconds }: Took) => (seconds * 1000) / single.runs;
  return {
    sizes: { ...options },
    database,
    rows: [
      ...versus(`steps of ${steps}-step runs, ${atOnce} simultaneously`, '/s', manys, rate(many), ours, [
        { peer: dbos, least: 2 },
      ]),
      ...versus(`one step of ${steps}, one run at a time`, 'ms', singles, stepMs, ours, [
        { peer: dbos, most: 0.6 },
      ]),
      ...versus(`a run of ${steps} steps, one at a time, start to end`, 'ms', singles, runMs, ours, [
        { peer: dbos },
      ]),
      ...versus(`1-step runs, ${atOnce} simultaneously`, '/s', lones, rate(lone), ours, [
        { peer: boss, least: 1 },
        { peer: bossInBatches },
        { peer: dbos, least: 2 },
      ]),
      ...versus(`1-step runs, ${atOnce} started a call`, '/s', bulks, rate(bulk), ours, [
        { peer: boss },
        { peer: bossInBatches },
      ]),
      ...(await promises(options, database, bench)),
    ],
    notes: [
      ...absent,
      'All on one server, each in a database and a Node process of its own that both starts the runs and executes them. They alternate round by round. A step does nothing and returns {last: name}, which each keeps. A run counts when its end is committed. Each run is started by a call of its own; where many are started per call, by startRuns and by insert. One step: from the beginning of the first step of a run to the end of its last, divided by their number.',
      'DBOS Transact: startWorkflow and getResult in one process, without a queue. pg-boss: send, fetch and complete without pauses, without history or steps; "in batches" fetches as many jobs as there are simultaneous runs and completes them together.',
      'Signal: from the call of signalRun to the first line of the step. Killed: from SIGKILL to the first line of the step in the other worker. Start: `dict-vsync worker`, bundled as it is shipped, from the start of its process until /readyz is OK. Idle: statements that reach the server from it, by pg_stat_statements.',
    ],
  };
}

/** Each contestant plays each round, in an order that rotates. Returns what they took, by name. */
async function play(
  what: string,
  task: Omit<Task, 'url'>,
  players: readonly Contestant[],
  rounds: number,
  { say }: Bench,
): Promise<Map<string, Took[]>> {
  const took = new Map<string, Took[]>(players.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    say(`${what}, round ${round + 1} of ${rounds}`);
    for (const player of round % 2 === 0 ? players : players.toReversed()) {
      took.get(player.name)!.push(await player.play(task));
    }
  }
  return took;
}

function versus(
  what: string,
  unit: Unit,
  took: Map<string, Took[]>,
  figure: (took: Took) => number,
  us: Contestant,
  peers: readonly { peer: Contestant | undefined; most?: number; least?: number }[],
): Row[] {
  const ours = took.get(us.name)!.map(figure);
  const present = peers.filter(({ peer }) => peer !== undefined);
  if (present.length === 0) return [alone({ what, unit, ours })];
  return present.map(({ peer, ...target }) =>
    against({ what, unit, ours, against: peer!.name, theirs: took.get(peer!.name)!.map(figure) }, target),
  );
}
