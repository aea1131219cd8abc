import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Pool } from 'pg';
import { expect } from 'vitest';
import { runningServer } from '../../../src/database/embedded/embedded-process.ts';
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../../src/database/embedded/embedded-postgres.ts';
import { migrate } from '../../../src/database/migrate/migrate.ts';
import { createPool } from '../../../src/database/pool.ts';
import { importEntries } from '../../../src/dict/key-base/import.ts';
import { generateKeyBase, type SimulatedDict, startSimulator } from '../../../src/simulator/index.ts';
import { expectInvariants } from './invariants.ts';
import { type ChaosProxy, startChaosProxy } from './proxy.ts';
import { until } from './until.ts';
import { WorkerProcess } from './worker-process.ts';
import { ISPB } from '../../support/key-base.ts';

/** Only a crash of the machine would lose something: each commit is in the kernel's hands. */
const SETTINGS = { fsync: 'off', max_connections: '100' };

/** A bank with a Postgres of its own that may be killed, a simulated DICT, and worker processes. */
export class Bank {
  readonly dict: SimulatedDict;
  readonly proxy: ChaosProxy;
  pool: Pool;
  readonly #directory: string;
  readonly #bridge: string;
  readonly #undo: AsyncDisposableStack;
  readonly #workers = new Set<WorkerProcess>();
  #postgres: EmbeddedPostgres;

  private constructor(parts: {
    dict: SimulatedDict;
    bridge: string;
    proxy: ChaosProxy;
    postgres: EmbeddedPostgres;
    directory: string;
    undo: AsyncDisposableStack;
  }) {
    this.dict = parts.dict;
    this.proxy = parts.proxy;
    this.#bridge = parts.bridge;
    this.#postgres = parts.postgres;
    this.#directory = parts.directory;
    this.#undo = parts.undo;
    this.pool = createPool(parts.postgres.url);
  }

  static async open(): Promise<Bank> {
    const undo = new AsyncDisposableStack();
    const directory = await mkdtemp(join(tmpdir(), 'dict-vsync-chaos-'));
    undo.defer(() => rm(directory, { recursive: true, force: true }));
    const postgres = await startEmbeddedPostgres({
      directory: join(directory, 'postgres'),
      settings: SETTINGS,
    });
    const proxy = await startChaosProxy(Number(new URL(postgres.url).port));
    undo.defer(() => proxy.close());
    // Each workload's comparison makes a dozen calls: with BACEN's limits we would wait for hours.
    const simulator = await startSimulator({ fileGenerationMs: 0, limits: 'off' });
    undo.defer(() => simulator.stop());
    const { dict, address: bridge } = simulator;
    const bank = new Bank({ dict, bridge, proxy, postgres, directory, undo });
    await migrate(postgres.url);
    const entries = [
      ...generateKeyBase({ participant: ISPB, keyTypes: ['CPF', 'EVP'], keysPerType: 30, seed: 1 }),
    ];
    dict.directory.seed(entries);
    await importEntries(bank.pool, entries);
    // Hourly: the only ticks come from setting the last one back.
    await writeFile(join(directory, 'crontab'), '0 * * * * verification_schedule\n');
    const first = bank.worker();
    await first.ready();
    expect(await first.stop()).toBe(0);
    return bank;
  }

  worker(crashAt?: string, nodeOptions?: readonly string[]): WorkerProcess {
    const started = new WorkerProcess(
      {
        DATABASE_URL: this.proxy.through(this.#postgres.url),
        PARTICIPANT_ISPB: ISPB,
        BRIDGE_ADDRESS: this.#bridge,
        CRONTAB: join(this.#directory, 'crontab'),
        TEMP_DIR: join(this.#directory, 'files'),
        HTTP_PORT: '0',
        WORKER_CONCURRENCY: '4',
        IN_FLIGHT_MARGIN_SECONDS: '0',
        NOK_RECHECK_SECONDS: '0.05',
        FILE_POLL_SECONDS: '0.05',
        EVENT_LOG_MAX_HOURS: '0',
      },
      crashAt,
      nodeOptions,
    );
    this.#workers.add(started);
    return started;
  }

  /**
   * A workload that reaches every crash point: keys that differ, a tick that is due when the next worker starts, a
   * schedule due for renewal and, where the crash point needs it, a call that fails once. It uses up nothing of the
   * limits.
   */
  async workload(point = ''): Promise<void> {
    this.dict.faults.clear();
    if (point.includes('fail')) {
      this.dict.faults.on({ kind: 'problem', status: 500, operation: 'createSyncVerification', times: 1 });
    }
    await this.pool.query(`
      update dict.entries set account_number = (account_number::bigint + 1)::text
      where key in (select key from dict.entries where key_type = 'CPF' and removed_at is null order by random() limit 2);
      delete from dict.entries
      where key in (select key from dict.entries where key_type = 'EVP' and removed_at is null order by random() limit 1);
      delete from dict.rate_limits;
      update workflow.schedules set last_tick = workflow.now() - interval '100 minutes';
      update workflow.runs set context = context || '{"executions": 29}'
      where machine = 'verification_schedule' and closed_at is null`);
  }

  /** Makes every job one that Graphile Worker will not try again, or makes every job retryable. */
  async everyJobIsOnItsLastAttempt(last: boolean): Promise<void> {
    await this.pool.query(`
      create or replace function public.last_attempt() returns trigger language plpgsql as
        'begin new.attempts := new.max_attempts - 1; return new; end';
      drop trigger if exists last_attempt on graphile_worker._private_jobs`);
    if (!last) return;
    await this.pool.query(`create trigger last_attempt before insert on graphile_worker._private_jobs
      for each row execute function public.last_attempt()`);
  }

  /** Does immediately what lease and sweep would take 12 s for: a silent worker counts as dead, and is swept. */
  async expireLeases(): Promise<void> {
    await this.pool.query(
      `update workflow.workers set heartbeat_at = heartbeat_at - interval '1 hour' where stopped_at is null`,
    );
    await this.pool.query('select workflow.sweep()');
  }

  /**
   * Ends it as a crash of the server: nothing is asked or closed. It restarts on another port, behind the same proxy.
   */
  async restartPostgres(): Promise<void> {
    await this.pool.end();
    const directory = join(this.#directory, 'postgres');
    const server = runningServer(directory);
    if (server === undefined) throw new Error('Postgres still runs');
    process.kill(server.pid, 'SIGQUIT');
    await until(() => runningServer(directory)?.pid !== server.pid);
    this.#postgres = await startEmbeddedPostgres({ directory, settings: SETTINGS });
    this.proxy.retarget(Number(new URL(this.#postgres.url).port));
    this.pool = createPool(this.#postgres.url);
  }

  /**
   * Waits until nothing is left to do except to wait for the next tick. Restarts a worker that ended, as supervisors
   * do.
   */
  async untilQuiet(timeout = 90_000): Promise<void> {
    const restless = async () => {
      const living = [...this.#workers].filter((worker) => worker.running);
      if (living.length === 0) this.worker();
      if (!living.some((worker) => worker.isReady)) return 'no worker is ready';
      const { rows } = await this.pool.query<{ what: string }>(
        `select machine || ' ' || state || ' ' || status || ' ' || attempt || coalesce(' ' || (error ->> 'code'), '') as what
         from workflow.runs where closed_at is null and not (machine = 'verification_schedule' and status = 'WAITING')
         union all select 'message ' || type from dict.outbox where delivered_at is null`,
      );
      return rows.length === 0 || rows.map(({ what }) => what);
    };
    await until(restless, timeout, 50);
  }

  /** Expects that every invariant is true. */
  async inspect(): Promise<void> {
    await expectInvariants(this.pool, this.dict, ISPB);
  }

  /** Stops every worker that still runs, cleanly; each must exit with code 0. */
  async stopWorkers(): Promise<void> {
    for (const worker of this.#workers) {
      // Before that it has no signal handler, and nothing to hand over; the break may have ended it as it began.
      await until(() => worker.isReady || !worker.running);
      if (worker.running) expect(await worker.stop()).toBe(0);
    }
    this.#workers.clear();
  }

  async killWorkers(): Promise<void> {
    for (const worker of this.#workers) {
      worker.signal('SIGCONT');
      await worker.kill();
    }
    this.#workers.clear();
  }

  /** What the present workers have logged, for the report of a failure. */
  log(): string {
    return [...this.#workers].map(({ said }) => said).join('\n--- next worker\n');
  }

  async close(): Promise<void> {
    await this.killWorkers();
    await this.pool.end();
    await this.#postgres.stop();
    await this.#undo.disposeAsync();
  }
}
