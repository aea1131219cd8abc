import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { onTestFinished, vi } from 'vitest';
import { connectBridge } from '../../src/bridge/index.ts';
import { startService } from '../../src/service/service.ts';
import { readSettings } from '../../src/settings.ts';
import { recordHistories } from './histories.ts';
import { createPool } from '../../src/database/pool.ts';
import type { Entry } from '../../src/dict/entry/entry.ts';
import { importEntries } from '../../src/dict/key-base/import.ts';
import type { KeyType } from '../../src/dict/entry/key-type.ts';
import { findRun, listRuns, type RunningWorker, type RunView } from '../../src/engine/index.ts';
import { createLog } from '../../src/log.ts';
import {
  type Damage,
  damage,
  generateKeyBase,
  serveBridge,
  type SimulatedDict,
  type SimulatedDictOptions,
  startSimulator,
} from '../../src/simulator/index.ts';
import { createTestDatabase } from './database.ts';
import { ISPB } from './key-base.ts';

export { ISPB } from './key-base.ts';

export interface SystemOptions {
  /** Keys of each type in DICT. Default 60. */
  keysPerType?: number;
  /** Keys of each type that differ locally (a third each missing, extra, changed). Default 0. */
  divergent?: number;
  /** Default 1. */
  seed?: number;
  /** Default CPF only. */
  keyTypes?: readonly KeyType[];
  /** Default one. */
  participants?: readonly string[];
  /** The local base, made from DICT's entries, instead of `divergent`. */
  local?: (entries: Entry[]) => Entry[];
  /** Environment variables. */
  settings?: Record<string, string>;
  /** CID files are made immediately unless this says otherwise. */
  simulator?: SimulatedDictOptions;
  /** Default: daily, at the hour that is farthest from now. */
  crontab?: string;
  log?: Logger;
}

export interface System {
  pool: Pool;
  url: string;
  dict: SimulatedDict;
  participant: string;
  /** TEMP_DIR of its services. */
  tempDir: string;
  /** The seed of DICT, and the local base. */
  entries: Entry[];
  local: Entry[];
  /** What `divergent` changed in the first participant's base. */
  plan: Record<KeyType, Damage>;
  readonly service: RunningWorker;
  stopService(): Promise<void>;
  restartService(): Promise<void>;
  /** Starts a second worker on the same database. */
  startAnotherService(): Promise<RunningWorker>;
  /** Makes the Bridge unreachable, and reachable again at the same address. */
  stopBridge(): Promise<void>;
  restoreBridge(): Promise<void>;
  /** Lets milliseconds pass at DICT. */
  passAtDict(ms: number): void;
  /** Lets time pass for the workflows: a Postgres interval. */
  advance(interval: string): Promise<void>;
  /** Starts a verification of the first participant, as a person does with psql; returns its run id. */
  verify(keyTypes?: readonly KeyType[]): Promise<string>;
  /** Starts a reconciliation of the first participant; returns its run id. */
  reconcile(keyType?: KeyType): Promise<string>;
  waitForRun(name: string, predicate: (run: RunView) => boolean): Promise<RunView>;
  waitForClosed(name: string): Promise<RunView>;
  /** Like waitForRun, but half a minute passes for the workflows at each look. */
  hurryToRun(name: string, predicate: (run: RunView) => boolean): Promise<RunView>;
  stop(): Promise<void>;
}

export const isClosed = (run: RunView): boolean => run.closedAt !== null;

/** Daily, half a day from now: no tick of the real clock fires during a test. */
const FAR_FROM_NOW = `0 ${(new Date().getUTCHours() + 12) % 24} * * * verification_schedule`;

/**
 * The whole product in this process: a database of its own, a simulated DICT behind a real gRPC Bridge, and the
 * service as `dict-vsync worker` starts it. Ends with the test.
 */
export async function startSystem(options: SystemOptions = {}): Promise<System> {
  const { participants = [ISPB], keyTypes = ['CPF'], seed = 1, keysPerType = 60 } = options;
  const participant = participants[0]!;
  const undo = new AsyncDisposableStack();
  onTestFinished(() => undo.disposeAsync());

  const database = await createTestDatabase();
  undo.defer(() => database.drop());
  const pool = createPool(database.url, { max: 16 });
  undo.defer(() => pool.end());
  if (process.env['RECORD_HISTORIES'] === '1') undo.defer(() => recordHistories(pool));
  const temp = await mkdtemp(join(tmpdir(), 'dict-vsync-e2e-'));
  undo.defer(() => rm(temp, { recursive: true, force: true }));

  let passed = 0;
  const simulator = await startSimulator({
    fileGenerationMs: 0,
    seed,
    participants,
    clock: () => Date.now() + passed,
    ...options.simulator,
  });
  let face: { stop(): Promise<void> } = simulator;
  undo.defer(() => face.stop());

  const entries = participants.flatMap((ispb) => [
    ...generateKeyBase({ participant: ispb, keyTypes, keysPerType, seed }),
  ]);
  const { local, plan } = damaged(entries, participants, { perType: options.divergent ?? 0, seed });
  const localBase = options.local?.(entries) ?? local;
  simulator.dict.directory.seed(entries);
  await importEntries(pool, localBase);

  const settings = readSettings({
    PARTICIPANT_ISPB: participants.join(','),
    WORKER_CONCURRENCY: '5',
    TEMP_DIR: temp,
    // The base was loaded a moment ago, and the tests must not wait for the margin.
    IN_FLIGHT_MARGIN_SECONDS: '0',
    NOK_RECHECK_SECONDS: '0.02',
    FILE_POLL_SECONDS: '0.05',
    ...options.settings,
  });
  const log = options.log ?? (await createLog({ level: 'silent', pretty: false }));
  const crontab = options.crontab ?? FAR_FROM_NOW;
  const start = async (): Promise<RunningWorker> => {
    const bridge = connectBridge({ address: simulator.address });
    const running = await startService({ pool, bridge, settings, log, crontab });
    undo.defer(async () => {
      await running.stop();
      bridge.close();
    });
    return running;
  };
  let service = await start();

  const startRun = async (sql: string, of: readonly KeyType[] | null): Promise<string> => {
    const { rows } = await pool.query<{ id: string }>(sql, [participant, of]);
    return rows[0]!.id;
  };
  const look = async (name: string, predicate: (run: RunView) => boolean): Promise<RunView> => {
    const [run] = await listRuns(pool, { ids: [await findRun(pool, name)] });
    if (run !== undefined && predicate(run)) return run;
    throw new Error(`${name} is ${run?.status} in ${run?.state}, attempt ${run?.attempt}: ${run?.errorCode}`);
  };
  const waitForRun: System['waitForRun'] = (name, predicate) =>
    vi.waitFor(() => look(name, predicate), { timeout: 20_000, interval: 15 });
  const advance = async (interval: string): Promise<void> => {
    await pool.query('select workflow.advance_clock($1)', [interval]);
  };

  return {
    pool,
    url: database.url,
    dict: simulator.dict,
    participant,
    tempDir: temp,
    entries,
    local: localBase,
    plan,
    get service() {
      return service;
    },
    stopService: () => service.stop(),
    async restartService() {
      await service.stop();
      service = await start();
    },
    startAnotherService: start,
    async stopBridge() {
      await face.stop();
    },
    async restoreBridge() {
      face = await serveBridge(simulator.dict, { port: Number(simulator.address.split(':')[1]) });
    },
    passAtDict(ms) {
      passed += ms;
    },
    advance,
    verify: (of = keyTypes) => startRun('select dict.start_verification($1, $2) as id', of),
    reconcile: (keyType = keyTypes[0]!) =>
      startRun('select dict.start_reconciliation($1, $2) as id', [keyType]),
    waitForRun,
    waitForClosed: (name) => waitForRun(name, isClosed),
    hurryToRun: (name, predicate) =>
      vi.waitFor(
        () =>
          look(name, predicate).catch(async (error: unknown) => {
            await advance('30 seconds');
            throw error;
          }),
        { timeout: 20_000, interval: 60 },
      ),
    stop: () => undo.disposeAsync(),
  };
}

function damaged(
  entries: readonly Entry[],
  participants: readonly string[],
  how: { perType: number; seed: number },
): { local: Entry[]; plan: Record<KeyType, Damage> } {
  const bases = participants.map((ispb) =>
    damage(
      entries.filter((entry) => entry.participant === ispb),
      how,
    ),
  );
  return { local: bases.flatMap(({ local }) => local), plan: bases[0]!.plan };
}
