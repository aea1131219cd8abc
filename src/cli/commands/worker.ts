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

/** Graphile Worker's statements are short; one that isn't answered has lost its connection. */
const QUEUE_TIMEOUT_MS = 30_000;
/** One each, and one more for each stream that is relayed: a chore that is stuck keeps none from another. */
const CHORE_CONNECTIONS = 16;
/** No lock that chores need is held so long by anything of ours. */
const CHORE_LOCK_MS = 5000;

/** `dict-vsync worker`: the service. */
export function worker(): Command {
  return command(
    'worker',
    'The service: worker, cron and relay to Core-Dict. SIGTERM drains it and exits 0.',
    [
      'worker',
      'PARTICIPANT_ISPB=12345678 BRIDGE_ADDRESS=bridge:50051 DATABASE_URL=postgres://… dict-vsync worker',
    ],
  ).action(async () => {
    requireServiceSettings(readSettings(process.env));
    await withDatabase({ migrates: 'itself', connections: 30 }, async (database) => serve(database));
  });
}

/** Serves until told to stop, whatever becomes of the database meanwhile, and be it away at first. */
async function serve({ pool, sessionUrl, settings, log }: Database): Promise<void> {
  // Graphile Worker doesn't await completeJob: when Postgres goes away at that moment nobody else hears of it.
  const onRejection = (error: unknown) => {
    log.error(
      { error: error instanceof Error ? error.name : typeof error },
      'a promise was rejected unheard; the worker goes on',
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
    // One listens; Graphile Worker wants one a slot besides, and uses few.
    max: settings.WORKER_CONCURRENCY + 1,
    applicationName: 'dict-vsync queue',
    queryTimeoutMs: QUEUE_TIMEOUT_MS,
    onError: (error) => log.warn({ error: error.name }, 'a connection of the queue broke; it is replaced'),
  });
  undo.defer(async () => sessionPool.end());
  const limitMs = settings.CHORE_TIMEOUT_SECONDS * 1000;
  const chorePool = createPool(sessionUrl, {
    max: CHORE_CONNECTIONS,
    applicationName: 'dict-vsync chores',
    limits: { statementMs: limitMs, lockMs: Math.min(limitMs, CHORE_LOCK_MS) },
    // Postgres breaks off first, where it is there.
    queryTimeoutMs: limitMs + 5000,
    onError: (error) => log.warn({ error: error.name }, 'a connection of the chores broke; it is replaced'),
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
  log.info({ http: http.address }, 'health and metrics served');

  // Told to stop while it starts: whatever it waits for is Postgres'.
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

/** What only the service needs, all that is missing at once. */
function requireServiceSettings(settings: Settings): void {
  const missing = [
    ...(settings.PARTICIPANT_ISPB.length === 0
      ? ['PARTICIPANT_ISPB: the ISPBs to keep in sync, comma-separated']
      : []),
    ...(settings.BRIDGE_ADDRESS === undefined
      ? ['BRIDGE_ADDRESS: host:port of your gRPC Bridge, or of `dict-vsync simulator`']
      : []),
  ];
  if (missing.length > 0) {
    throw new DvError(
      'DV_SETTINGS_INVALID',
      `The worker needs settings that are missing. ${missing.join('. ')}.`,
    );
  }
}

/** The crontab that CRONTAB names, else the one that comes with the program. DV_CRONTAB_INVALID. */
function crontabOf(settings: Settings): string {
  if (settings.CRONTAB === undefined) return readAsset('crontab');
  try {
    return readFileSync(settings.CRONTAB, 'utf8');
  } catch (cause) {
    throw new DvError('DV_CRONTAB_INVALID', 'The file that CRONTAB names cannot be read.', { cause });
  }
}
