import type { Command } from 'commander';
import { readFileSync } from 'node:fs';
import { listAssets, readAsset } from '../assets.ts';
import { connectBridge } from '../bridge/index.ts';
import { readBridgeTls, readSettings, type Settings } from '../config.ts';
import { createPool } from '../database/pool.ts';
import { UsageError } from '../errors.ts';
import { createHealth, createMetrics, startHttp } from '../http/index.ts';
import { command, type Database, withDatabase } from './cli.ts';
import { startService } from './service.ts';

/** Graphile Worker's statements are short; one that isn't answered has lost its connection. */
const QUEUE_TIMEOUT_MS = 30_000;

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
    await withDatabase({ migrates: true, connections: 30 }, async (database) => serve(database));
  });
}

/** Serves until told to stop, whatever becomes of the database meanwhile. */
async function serve({ pool, sessionUrl, settings, log }: Database): Promise<void> {
  // Graphile Worker doesn't await completeJob: when Postgres goes away at that moment nobody else hears of it.
  const onRejection = (error: unknown) => {
    log.error(
      { error: error instanceof Error ? error.name : typeof error },
      'a promise was rejected unheard; the worker goes on',
    );
  };
  process.on('unhandledRejection', onRejection);
  const stopRequested = Promise.withResolvers<void>();
  const onSignal = (signal: NodeJS.Signals) => {
    log.info({ signal }, 'stopping');
    stopRequested.resolve();
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
  const metrics = createMetrics(pool);
  const service = await startService({
    pool,
    sessionPool,
    bridge,
    settings,
    log,
    crontab: crontabOf(settings),
    onAttempt: metrics.onAttempt,
    onRecovered: metrics.onRecovered,
  });
  let http: Awaited<ReturnType<typeof startHttp>> | undefined;
  undo.defer(async () => http?.stop());
  undo.defer(async () => service.stop());
  const health = createHealth({ pool, worker: service, migrations: listAssets('migrations') });
  http = await startHttp({
    host: settings.HTTP_HOST,
    port: settings.HTTP_PORT,
    health,
    metrics: metrics.registry,
  });
  undo.defer(() => {
    health.stopping();
  });
  log.info({ http: http.address }, 'health and metrics served');
  await Promise.race([stopRequested.promise, service.ended]);
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
    throw new UsageError(
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
    throw new UsageError('DV_CRONTAB_INVALID', 'The file that CRONTAB names cannot be read.', { cause });
  }
}
