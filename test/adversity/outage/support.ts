import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Pool } from 'pg';
import { expect, vi } from 'vitest';
import {
  startEmbeddedPostgres,
  stopEmbeddedPostgres,
} from '../../../src/database/embedded/embedded-postgres.ts';
import { runningServer } from '../../../src/database/embedded/embedded-process.ts';
import type { KeyType } from '../../../src/dict/entry/key-type.ts';
import { start } from '../../unit/cli/support.ts';
import type { LogLine } from '../../support/log.ts';

/** A Postgres of its own, which a test may kill. A commit is in the server's log before the client learns of it. */
export interface OwnServer {
  directory: string;
  url: string;
  /** Kills it as a crash does: without a checkpoint, every connection cut. */
  kill(): Promise<void>;
  /** Starts it again, perhaps on another port; returns its URL. */
  restart(): Promise<string>;
  drop(): Promise<void>;
}

export async function ownServer(settings: Record<string, string> = {}): Promise<OwnServer> {
  return serverIn(await mkdtemp(join(tmpdir(), 'dict-vsync-outage-')), settings);
}

/** What a synchronous standby of a killed server becomes: another server with everything that was committed. */
export async function standbyOf(server: OwnServer): Promise<OwnServer> {
  const directory = await mkdtemp(join(tmpdir(), 'dict-vsync-standby-'));
  // With owners and permissions, which fs.cp does not copy.
  execFileSync('cp', ['-a', join(server.directory, 'data'), join(server.directory, 'password'), directory]);
  return serverIn(directory, {});
}

async function serverIn(directory: string, settings: Record<string, string>): Promise<OwnServer> {
  const options = { directory, settings: { fsync: 'off', full_page_writes: 'off', ...settings } };
  const server: OwnServer = {
    directory,
    url: (await startEmbeddedPostgres(options)).url,
    kill: async () => {
      const running = runningServer(directory);
      if (running === undefined) return;
      process.kill(running.pid, 'SIGQUIT');
      await vi.waitFor(
        () => {
          if (runningServer(directory) !== undefined) throw new Error('it still runs');
        },
        { timeout: 10_000, interval: 20 },
      );
    },
    restart: async () => (server.url = (await startEmbeddedPostgres(options)).url),
    drop: async () => {
      await stopEmbeddedPostgres(directory);
      await rm(directory, { recursive: true, force: true });
    },
  };
  return server;
}

/** `dict-vsync worker` as its users run it. */
export interface WorkerProcess {
  /** Its answer to /readyz, or nothing when it does not answer. */
  readiness(): Promise<{ status: number; reasons: string[] } | undefined>;
  /** Its answer to /livez. */
  alive(): Promise<boolean>;
  log(): LogLine[];
  running(): boolean;
  /** Sends SIGTERM; returns its exit code. */
  stop(): Promise<number | null>;
}

/** Returns when it works or, with `untilWorks: false`, as soon as it serves its health. */
export async function startWorkerProcess(
  env: Record<string, string>,
  { untilWorks = true } = {},
): Promise<WorkerProcess> {
  const child = start(['worker'], { env: { LOG_LEVEL: 'info', HTTP_PORT: '0', ...env } });
  const lines: LogLine[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => {
    lines.push(line.startsWith('{') ? (JSON.parse(line) as LogLine) : { msg: line, level: 30 });
  });
  const exited = new Promise<number | null>((resolve) => void child.once('exit', resolve));
  const served = () => lines.find(({ msg }) => msg === 'serving health and metrics')?.['http'];
  const running = () => child.exitCode === null && child.signalCode === null;
  // Also in hooks, where expect.poll is not allowed.
  await vi.waitFor(
    () => {
      if (served() === undefined || (untilWorks && !lines.some(({ msg }) => msg === 'worker ready')))
        throw new Error(running() ? 'it has not started yet' : JSON.stringify(lines));
    },
    { timeout: 30_000 },
  );
  return {
    readiness: async () => {
      const response = await fetch(`${String(served())}/readyz`).catch(() => undefined);
      if (response === undefined) return undefined;
      const { reasons } = (await response.json()) as { reasons: { reason: string }[] };
      return { status: response.status, reasons: reasons.map(({ reason }) => reason) };
    },
    alive: async () => (await fetch(`${String(served())}/livez`).catch(() => undefined))?.ok ?? false,
    log: () => lines,
    running,
    stop: async () => {
      child.kill('SIGTERM');
      return exited;
    },
  };
}

/** Makes local keys differ from DICT, and starts a reconciliation of each type; returns the run ids. */
export async function damageAndReconcile(
  pool: Pool,
  participant: string,
  keyTypes: readonly KeyType[],
): Promise<string[]> {
  await pool.query(
    `update dict.entries set name = name || ' X' where participant = $1 and (participant, key_type, key) in (
       select participant, key_type, key from (
         select *, row_number() over (partition by key_type order by md5(key || clock_timestamp())) as n
         from dict.entries where removed_at is null) numbered where n <= 12)`,
    [participant],
  );
  const { rows } = await pool.query<{ id: string }>('select dict.start_reconciliation($1, $2) as id', [
    participant,
    keyTypes,
  ]);
  return rows.map(({ id }) => id);
}

/** Waits until the runs have made this many steps together. */
export async function untilSteps(pool: Pool, runs: readonly string[], steps: number): Promise<void> {
  const done = async () => {
    const { rows } = await pool.query<{ n: number }>(
      `select count(*)::integer as n from workflow.history where run_id = any ($1) and event = 'COMPLETED'`,
      [runs],
    );
    return rows[0]?.n ?? 0;
  };
  await expect.poll(done, { interval: 5 }).toBeGreaterThanOrEqual(steps);
}

/** After an outage: the runs end well, no open run is stuck, nothing was done twice. */
export async function expectSound(pool: Pool, runs: readonly string[]): Promise<void> {
  const ends = async () => {
    const { rows } = await pool.query<{ it: string }>(
      `select distinct concat_ws(' ', status, case status when 'COMPLETED' then null else state end, error ->> 'code') as it
       from workflow.runs where id = any ($1)`,
      [runs],
    );
    return rows.map(({ it }) => it);
  };
  await expect.poll(ends, { timeout: 40_000, interval: 100 }).toEqual(['COMPLETED']);
  const { rows: twice } = await pool.query(
    `select run_id, version from workflow.history where event in ('STARTED', 'COMPLETED')
     group by run_id, version, event having count(*) > 1`,
  );
  expect(twice).toEqual([]);
  const { rows: claimed } = await pool.query(
    'select id, state from workflow.runs where claimed_by is not null and closed_at is not null',
  );
  expect(claimed).toEqual([]);
  // The messages about a chunk's changes commit with the changes: a key published twice was changed twice.
  await expect
    .poll(async () => (await pool.query('select from dict.outbox where delivered_at is null')).rowCount)
    .toBe(0);
  const { rows: published } = await pool.query(
    `select n.payload ->> 'runId' as run, c ->> 'key' as key
     from dict.notifications n, jsonb_array_elements(n.payload -> 'changes') c group by 1, 2 having count(*) > 1`,
  );
  expect(published).toEqual([]);
}
