import { createRequire } from 'node:module';
import type { Pool } from 'pg';
import { migrate } from '../../src/database/migrate/migrate.ts';
import { runScript } from '../support/child.ts';
import type { BenchDatabase } from '../support/postgres.ts';
import type { Task, Took } from './contest.ts';

/** The contestants, each with a database of its own on the shared server. */
export interface Contestant {
  name: string;
  /** What the runs of a task take, in a new process. */
  play(task: Omit<Task, 'url'>): Promise<Took>;
}

const HOW_TO_INSTALL = 'not installed: npm ci --prefix bench';

/** Ours and those peers that are installed; for the others, why they are missing. */
export async function contestants(database: BenchDatabase): Promise<{
  ours: Contestant;
  dbos: Contestant | undefined;
  boss: Contestant | undefined;
  bossInBatches: Contestant | undefined;
  absent: string[];
}> {
  const ours = await contestant('ours', './ours.ts', database, migrate);
  const dbos = installed('@dbos-inc/dbos-sdk')
    ? await contestant('DBOS Transact', './dbos.ts', database)
    : undefined;
  const boss = installed('pg-boss')
    ? await contestant('pg-boss', './boss.ts', database, undefined, { batch: false })
    : undefined;
  const bossInBatches =
    boss && (await contestant('pg-boss in batches', './boss.ts', database, undefined, { batch: true }));
  const absent = [
    ...(dbos === undefined ? [`DBOS Transact is ${HOW_TO_INSTALL}`] : []),
    ...(boss === undefined ? [`pg-boss is ${HOW_TO_INSTALL}`] : []),
  ];
  return { ours, dbos, boss, bossInBatches, absent };
}

async function contestant(
  name: string,
  script: string,
  database: BenchDatabase,
  prepare: (url: string) => Promise<unknown> = async () => undefined,
  more: object = {},
): Promise<Contestant> {
  const url = await ownDatabase(database.pool, database.url, name);
  await prepare(url);
  return {
    name,
    play: async (task) => {
      const input = { ...task, ...more, url };
      const { answer } = await runScript<Took>(new URL(script, import.meta.url), input, ['--no-deprecation']);
      return answer;
    },
  };
}

/** Makes a database on the server; returns its URL. */
export async function ownDatabase(pool: Pool, serverUrl: string, name: string): Promise<string> {
  const database = `bench_${name.toLowerCase().replaceAll(/[^a-z]+/g, '_')}`;
  await pool.query(`create database ${database}`);
  const url = new URL(serverUrl);
  url.pathname = `/${database}`;
  return url.href;
}

function installed(name: string): boolean {
  try {
    createRequire(import.meta.url).resolve(name);
    return true;
  } catch {
    return false;
  }
}
