import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { Pool } from 'pg';
import { historyOf, listRuns } from '../../src/engine/index.ts';

/** One transition of a run. */
export interface Transition {
  state: string;
  outcome: string;
  nextState: string;
}

const FOLDER = new URL('../unit/workflows/histories/', import.meta.url);

/** The recorded paths of a machine in a version, from its initial state to an end; empty when nothing is recorded. */
export function readHistories(machine: string, version: number): Transition[][] {
  const file = fileOf(machine, version);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Transition[][]) : [];
}

/**
 * Adds the path of a run to the recorded ones of its machine and version, unless it is recorded already. Only a run
 * that went from its beginning to an end of its machine, and was not retried, has a path.
 */
export async function recordHistory(pool: Pool, runId: string): Promise<void> {
  const [run] = await listRuns(pool, { ids: [runId] });
  const events = await historyOf(pool, runId);
  if (run === undefined || run.closedAt === null || events.some(({ event }) => event === 'RETRIED')) return;
  const path = events.flatMap(({ state, outcome, nextState }): Transition[] =>
    outcome !== null && nextState !== null ? [{ state, outcome, nextState }] : [],
  );
  // Cancelled, or failed in a state without a failure transition.
  if (path.at(-1)?.nextState !== run.state || events.at(-1)?.state !== run.state) return;
  const { rowCount } = await pool.query(
    `select from workflow.states where machine = $1 and version = $2 and state = $3 and kind = 'terminal'`,
    [run.machine, run.machineVersion, run.state],
  );
  if (rowCount !== 1) return;
  const paths = new Set(readHistories(run.machine, run.machineVersion).map((known) => JSON.stringify(known)));
  paths.add(JSON.stringify(path));
  const sorted = [...paths]
    .toSorted((a, b) => a.length - b.length || (a < b ? -1 : 1))
    .map((each) => JSON.parse(each) as Transition[]);
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(fileOf(run.machine, run.machineVersion), written(sorted));
}

/** Calls recordHistory for every run of a database. For several test files, run them one after the other. */
export async function recordHistories(pool: Pool): Promise<void> {
  for (const { id } of await listRuns(pool)) await recordHistory(pool, id);
}

function fileOf(machine: string, version: number): URL {
  return new URL(`${machine}-v${version}.json`, FOLDER);
}

/** One transition per line, as the formatter writes it. */
function written(paths: Transition[][]): string {
  const line = ({ state, outcome, nextState }: Transition) =>
    `    { "state": "${state}", "outcome": "${outcome}", "nextState": "${nextState}" }`;
  return `[\n${paths.map((path) => `  [\n${path.map(line).join(',\n')}\n  ]`).join(',\n')}\n]\n`;
}
