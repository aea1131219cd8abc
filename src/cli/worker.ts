import type { Command } from 'commander';
import { readFileSync } from 'node:fs';
import { listAssets, readAsset } from '../assets.ts';
import { connectBridge } from '../bridge/index.ts';
import { readBridgeTls, readSettings, type Settings } from '../config.ts';
import { UsageError } from '../errors.ts';
import { createHealth, createMetrics, startHttp } from '../http/index.ts';
import { command, withDatabase } from './cli.ts';
import { startService } from './service.ts';

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
    await withDatabase({ migrates: true, connections: 30 }, async ({ pool, settings, log }) => {
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

      const bridge = connectBridge({ address: settings.BRIDGE_ADDRESS ?? '', tls: readBridgeTls(settings) });
      const metrics = createMetrics(pool);
      const service = await startService({
        pool,
        bridge,
        settings,
        log,
        crontab: crontabOf(settings),
        onAttempt: metrics.onAttempt,
        onRecovered: metrics.onRecovered,
      });
      const health = createHealth({ pool, worker: service, migrations: listAssets('migrations') });
      const http = await startHttp({
        host: settings.HTTP_HOST,
        port: settings.HTTP_PORT,
        health,
        metrics: metrics.registry,
      });
      log.info({ http: http.address }, 'health and metrics served');
      await Promise.race([stopRequested.promise, service.ended]);
      health.stopping();
      await service.stop();
      await http.stop();
      bridge.close();
      process.off('unhandledRejection', onRejection);
    });
  });
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
