import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from 'pg';
import { connectBridge } from '../../src/bridge/index.ts';
import { startService } from '../../src/service/service.ts';
import { readSettings } from '../../src/settings.ts';
import type { KeyType } from '../../src/dict/entry/key-type.ts';
import { CLOSED_STATUSES, listRuns, type RunView } from '../../src/engine/index.ts';
import { createLog } from '../../src/log.ts';
import type { Bench } from './benchmark.ts';
import { PARTICIPANT } from './entries.ts';
import { type BenchDatabase, startDatabase } from './postgres.ts';
import { type SimulatorProcess, startSimulatorProcess } from './simulator.ts';
import type { SimulatorInput } from './simulator-process.ts';

const POLL_MS = 100;

/** A tick far in the future: the bench itself starts what it measures. */
const CRONTAB = '0 0 29 2 * verification_schedule';

/** The whole product: the database, a simulated DICT in a process of its own, and the settings of the service. */
export interface System {
  database: BenchDatabase;
  simulator: SimulatorProcess;
  /** Environment of the service. */
  environment: Record<string, string>;
}

/**
 * Starts database and simulator and loads the local base as an import, which never counts as just changed by a
 * customer.
 */
export async function startSystem(
  { directory, resources, say }: Bench,
  dict: Omit<SimulatorInput, 'url'>,
): Promise<System> {
  const database = await startDatabase(directory, resources);
  say(`loading ${dict.keysPerType} keys a type on both sides`);
  const simulator = await startSimulatorProcess({ url: database.url, ...dict }, resources);
  const environment = {
    DATABASE_URL: database.url,
    PARTICIPANT_ISPB: PARTICIPANT,
    BRIDGE_ADDRESS: simulator.address,
    TEMP_DIR: directory,
    LOG_LEVEL: 'error',
    HTTP_PORT: '0',
    // Nobody is here to approve.
    MANUAL_APPROVAL_THRESHOLD: '1000000',
    APPROVAL_DAILY_KEYS: '1000000',
    APPROVAL_BASE_PERCENT: '100',
    APPROVAL_OWNER_CHANGES: '0',
  };
  return { database, simulator, environment };
}

/** Starts the service in this process, as `dict-vsync worker` does; `resources` ends it. */
export async function serve(
  { database, environment }: System,
  resources: AsyncDisposableStack,
): Promise<void> {
  const settings = readSettings(environment);
  const bridge = connectBridge({ address: settings.BRIDGE_ADDRESS ?? '' });
  resources.defer(() => bridge.close());
  const service = await startService({
    pool: database.pool,
    bridge,
    settings,
    log: await createLog({ level: settings.LOG_LEVEL, pretty: false }),
    crontab: CRONTAB,
  });
  resources.defer(async () => service.stop());
}

/** Starts a reconciliation; returns its run's id. */
export async function reconcile(pool: Pool, keyType: KeyType): Promise<string> {
  const { rows } = await pool.query<{ id: string }>('select dict.start_reconciliation($1, $2) as id', [
    PARTICIPANT,
    [keyType],
  ]);
  return rows[0]!.id;
}

/** Waits until the run has completed; throws when it ends in another state, or waits for a person. */
export async function completed(pool: Pool, id: string): Promise<RunView> {
  for (;;) {
    const [run] = await listRuns(pool, { ids: [id] });
    if (run?.status === 'COMPLETED') return run;
    const { status, errorCode = null } = run ?? {};
    if (
      status === undefined ||
      status === 'WAITING' ||
      (CLOSED_STATUSES as readonly string[]).includes(status)
    ) {
      throw new Error(`Run ${id} is ${status}: ${errorCode}.`);
    }
    await delay(POLL_MS);
  }
}

/**
 * The divergent CIDs that a reconciliation found in all its rounds. Throws when they are not the ones that were made.
 */
export async function foundDivergences({ database, simulator }: System, id: string): Promise<number> {
  const { rows } = await database.pool.query<{ keyType: KeyType; found: number }>(
    `select key_type as "keyType", (dict_only_cids + local_only_cids)::integer as found
     from dict.reconciliations where run_id = $1`,
    [id],
  );
  const { keyType, found } = rows[0]!;
  const made = simulator.divergentCids[keyType];
  if (found !== made) throw new Error(`Run ${id} found ${found} divergent CIDs instead of ${made}.`);
  return found;
}

/** Seconds that a run spent in a state, from its first claim to the end of its last step. */
export async function secondsIn(pool: Pool, id: string, state: string): Promise<number> {
  const { rows } = await pool.query<{ seconds: number }>(
    'select extract(epoch from max(at) - min(at))::float8 as seconds from workflow.history where run_id = $1 and state = $2',
    [id, state],
  );
  return rows[0]!.seconds;
}
