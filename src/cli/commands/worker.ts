import type { Command } from 'commander';
import { readFileSync } from 'node:fs';
import { listAssets, readAsset } from '../../assets.ts';
import { connectBridge } from '../../bridge/index.ts';
import { readBridgeTls, readSettings, type Settings } from '../../settings.ts';
import { FUNCTIONS_NUMBER } from '../../database/migrate/apply-functions.ts';
import { migrate } from '../../database/migrate/migrate.ts';
import { createPool, cutConnections } from '../../database/pool.ts';
import { DvError } from '../../errors/dv-error.ts';
import { createHealth, createMetrics, startHttp } from '../../http/index.ts';
import { command } from '../command-options.ts';
import { type Database, withDatabase } from '../with-database.ts';
import { startService } from '../../service/service.ts';
import { waitForPostgres } from '../../service/wait-for-postgres.ts';

/** Graphile Worker's statements are short. If one is not answered in this time, its connection is lost. */
const QUEUE_TIMEOUT_MS = 30_000;
/** One for each chore and each stream that is relayed, so that a blocked chore does not block the others. */
const CHORE_CONNECTIONS = 16;
/** Nothing in dict-vsync keeps a lock that chores need for this long. */
const CHORE_LOCK_MS = 5000;

/** `dict-vsync worker`: runs the service. */
export function worker(): Command {
  return command(
    'worker',
    'Runs the service: worker, schedule, and relay of messages to Core-Dict. After SIGTERM it finishes or hands over its current steps, and exits with 0.',
    [
      'worker',
      'PARTICIPANT_ISPB=12345678 BRIDGE_ADDRESS=bridge:50051 DATABASE_URL=postgres://… dict-vsync worker',
    ],
  ).action(async () => {
    requireServiceSettings(readSettings(process.env));
    await withDatabase({ migrates: 'itself', connections: 30 }, async (database) => serve(database));
  });
}

/** Runs until it gets a signal, even if the database is unreachable at the start or later. */
async function serve({ pool, sessionUrl, settings, log }: Database): Promise<void> {
  // Graphile Worker does not await completeJob. If Postgres becomes unreachable at that moment, only this handler sees
  // it.
  const onRejection = (error: unknown) => {
    log.error(
      { error: error instanceof Error ? error.name : typeof error },
      'unhandled promise rejection; the worker keeps running',
    );
  };
  process.on('unhandledRejection', onRejection);
  const stop = new AbortController();
  const onSignal = (signal: NodeJS.Signals) => {
    log.info({ signal }, 'stopping');
    stop.abort();
  };
  process.removeAllListeners('SIGTERM').removeAllListeners('SIGINT');
  process.once('SIGTERM', onSignal).once('SIGINT', onSignal);

  await using undo = new AsyncDisposableStack();
  undo.defer(() => void process.off('unhandledRejection', onRejection));
  const bridge = connectBridge({ address: settings.BRIDGE_ADDRESS ?? '', tls: readBridgeTls(settings) });
  undo.defer(() => {
    bridge.close();
  });
  const sessionPool = createPool(sessionUrl, {
    // One connection listens. Graphile Worker may use one more for each slot, but usually uses few.
    max: settings.WORKER_CONCURRENCY + 1,
    applicationName: 'dict-vsync queue',
    queryTimeoutMs: QUEUE_TIMEOUT_MS,
    onError: (error) => log.warn({ error: error.name }, 'a connection of the queue was lost; it is replaced'),
  });
  undo.defer(async () => sessionPool.end());
  const limitMs = settings.CHORE_TIMEOUT_SECONDS * 1000;
  const chorePool = createPool(sessionUrl, {
    max: CHORE_CONNECTIONS,
    applicationName: 'dict-vsync chores',
    limits: { statementMs: limitMs, lockMs: Math.min(limitMs, CHORE_LOCK_MS) },
    // If Postgres is reachable, it cancels the statement before this timeout.
    queryTimeoutMs: limitMs + 5000,
    onError: (error) =>
      log.warn({ error: error.name }, 'a connection of the chores was lost; it is replaced'),
  });
  undo.defer(async () => chorePool.end());
  const crontab = crontabOf(settings);
  const metrics = createMetrics(pool);
  const health = createHealth({
    pool,
    migrations: listAssets('migrations'),
    functionsNumber: FUNCTIONS_NUMBER,
  });
  const http = await startHttp({
    host: settings.HTTP_HOST,
    port: settings.HTTP_PORT,
    health,
    metrics: metrics.registry,
  });
  undo.defer(async () => http.stop());
  log.info({ http: http.address }, 'serving health and metrics');

  // A stop during the start only has to interrupt what waits for Postgres.
  const cut = () => {
    cutConnections(pool);
    cutConnections(sessionPool);
    cutConnections(chorePool);
  };
  stop.signal.addEventListener('abort', cut, { once: true });
  const service = await waitForPostgres({ log, signal: stop.signal }, async () => {
    const { GRAPHILE_WORKER_SCHEMA: graphileSchema } = settings;
    await migrate(sessionUrl, { graphileSchema, signal: stop.signal });
    const { onAttempt, onRecovered } = metrics;
    const pools = { pool, sessionPool, chorePool };
    return startService({ ...pools, bridge, settings, log, crontab, onAttempt, onRecovered });
  });
  stop.signal.removeEventListener('abort', cut);
  if (service === undefined) return;
  health.started(service);
  undo.defer(async () => service.stop());
  undo.defer(() => {
    health.stopping();
  });
  const stopped = new Promise<void>((resolve) => {
    stop.signal.addEventListener('abort', () => resolve(), { once: true });
    if (stop.signal.aborted) resolve();
  });
  await Promise.race([stopped, service.ended]);
}

/** Checks the settings that only the service needs. Throws one DV_SETTINGS_INVALID for all that are missing. */
function requireServiceSettings(settings: Settings): void {
  const missing = [
    ...(settings.PARTICIPANT_ISPB.length === 0
      ? ['PARTICIPANT_ISPB: the ISPBs to keep in sync, separated by commas']
      : []),
    ...(settings.BRIDGE_ADDRESS === undefined
      ? ['BRIDGE_ADDRESS: HOST:PORT of your gRPC Bridge or of `dict-vsync simulator`']
      : []),
  ];
  if (missing.length > 0) {
    throw new DvError(
      'DV_SETTINGS_INVALID',
      `Settings that the worker needs are missing. ${missing.join('. ')}.`,
    );
  }
}

/** Reads the crontab that CRONTAB names, otherwise the built-in one. Throws DV_CRONTAB_INVALID. */
function crontabOf(settings: Settings): string {
  if (settings.CRONTAB === undefined) return readAsset('crontab');
  try {
    return readFileSync(settings.CRONTAB, 'utf8');
  } catch (cause) {
    throw new DvError('DV_CRONTAB_INVALID', 'The file named by CRONTAB cannot be read.', { cause });
  }
}
