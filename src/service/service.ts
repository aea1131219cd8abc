import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { activities } from '../../tasks/index.ts';
import { randomUUID } from 'node:crypto';
import type { Bridge } from '../bridge/index.ts';
import type { Settings } from '../settings.ts';
import { cutConnections } from '../database/pool.ts';
import { processFeedQueue } from '../dict/key-base/connected-tables.ts';
import { checkWarnings, configureWarnings, warningText } from '../dict/vsync/warnings.ts';
import { configureRetries, startRetries } from '../dict/vsync/retries.ts';
import { limitedBridge, seedRateLimits } from '../dict/rate-limits/rate-limits.ts';
import { removeExpired, type RetentionAges } from '../dict/log/retention.ts';
import { configureParticipants, FOLD_EVERY_MS, foldDeltas } from '../dict/vsync/vsync-store.ts';
import {
  type AttemptReport,
  inTransaction,
  logFailures,
  readCrontab,
  type RunningWorker,
  startWorker,
} from '../engine/index.ts';
import { forgetKeyEvents, refuseConnected } from '../dict/key-base/apply-key-events.ts';
import {
  alertBody,
  consumeKeyEvents,
  dropAlerts,
  expireMessages,
  openTransport,
  relayOutbox,
  type Subscription,
  webhookTransport,
} from '../notify/index.ts';
import { pulsarSettings } from './pulsar-settings.ts';
import { removeLeftFiles } from './temp-files.ts';
import { machines, openSchedule, tickVerificationSchedules } from '../workflows/index.ts';
import { type PendingWork, findPendingWork } from './pending-work.ts';

const ALL_WAITS: PendingWork = {
  messages: true,
  alerts: true,
  failures: true,
  deltas: true,
  feed: true,
  retries: true,
};

/** How long one execution of the retention chore may take. The next one continues its work. */
const RETENTION_MS = 5000;

export interface ServiceOptions {
  pool: Pool;
  /** Session connections for Graphile Worker. Default: those of `pool`. */
  sessionPool?: Pool;
  /** For the chores: session connections whose statements have time limits. Default: those of `pool`. */
  chorePool?: Pool;
  bridge: Bridge;
  settings: Settings;
  log: Logger;
  /** The text of the crontab. */
  crontab: string;
  onAttempt?: (report: AttemptReport) => void;
  onRecovered?: (what: string) => void;
}

/**
 * Starts the service: worker, cron, relay to Core-Dict, receiver of key events and the chores of the key base. `stop`
 * stops them all.
 * Errors: DV_KEY_EVENTS_CONNECTED, DV_TOPIC_INVALID.
 */
export async function startService(options: ServiceOptions): Promise<RunningWorker> {
  const { pool, chorePool = pool, settings, log } = options;
  const participants = settings.PARTICIPANT_ISPB;
  const schedules = readCrontab(options.crontab);
  if (settings.KEY_EVENTS_URL !== undefined) await refuseConnected(pool, participants);
  await configureParticipants(pool, participants);
  await configureWarnings(pool, {
    deadlineHours: settings.SYNC_DEADLINE_HOURS,
    freshOkHours: settings.WARN_AFTER_HOURS,
    approvalHours: settings.APPROVAL_WARN_HOURS,
    alerts: settings.ALERT_URL !== undefined,
  });
  if (settings.ALERT_URL === undefined) {
    const dropped = await dropAlerts(pool);
    if (dropped > 0) log.warn({ alerts: dropped }, 'undelivered alerts were removed: there is no ALERT_URL');
  }
  await configureRetries(pool, settings.RETRY_MINUTES);
  await Promise.all(
    participants.map(async (participant) =>
      seedRateLimits(
        pool,
        options.bridge,
        participant,
        { correlationId: randomUUID().replaceAll('-', ''), timeoutMs: 5000 },
        log,
      ),
    ),
  );
  // Stopped again if the start fails, because the start may be retried.
  await using started = new AsyncDisposableStack();
  const transport = await openTransport(pulsarSettings(settings));
  started.defer(async () => transport.close());
  const waits: PendingWork = { ...ALL_WAITS };
  /** A chore that does nothing and sends no query until the chore `look` has found work for it. */
  const ifAny = (what: keyof PendingWork, work: () => Promise<unknown>) => async () => {
    if (!waits[what]) return;
    waits[what] = false;
    await work();
  };
  const worker = await startWorker({
    pool,
    sessionPool: options.sessionPool,
    chorePool: options.chorePool,
    onSilence: () => {
      for (const each of [pool, options.sessionPool, options.chorePool]) if (each) cutConnections(each);
    },
    log,
    machines,
    activities,
    services: { pool, bridge: limitedBridge(options.bridge, pool), settings },
    concurrency: settings.WORKER_CONCURRENCY,
    graphileSchema: settings.GRAPHILE_WORKER_SCHEMA,
    schedules,
    ticks: { verification_schedule: tickVerificationSchedules(participants) },
    logFields,
    onAttempt: options.onAttempt,
    onRecovered: options.onRecovered,
    chores: [
      {
        name: 'look',
        everyMs: 750,
        run: async () => {
          try {
            Object.assign(waits, await findPendingWork(chorePool));
          } catch (error) {
            // If one table cannot be read, the chores of the other tables must still work: let each look for itself.
            Object.assign(waits, ALL_WAITS);
            throw error;
          }
        },
      },
      {
        name: 'relay',
        everyMs: 100,
        run: ifAny('messages', async () =>
          relayOutbox(chorePool, transport, { content: settings.NOTIFY_CONTENT, log }),
        ),
      },
      { name: 'alerts', everyMs: 500, run: ifAny('alerts', relayOfAlerts(chorePool, settings, log)) },
      {
        name: 'failures',
        everyMs: 250,
        run: ifAny('failures', async () => logFailures(chorePool, log, logFields)),
      },
      {
        name: 'message-retention',
        everyMs: 600_000,
        run: async () => void (await expireMessages(chorePool, settings.OUTBOX_RETENTION_DAYS)),
      },
      { name: 'fold', everyMs: FOLD_EVERY_MS, run: ifAny('deltas', async () => foldDeltas(chorePool)) },
      // Without time limit: after a mapping was repaired its whole table is compared in one statement. That statement
      // waits only 1 ms for a lock.
      { name: 'feed', everyMs: 500, run: ifAny('feed', async () => processFeedQueue(pool)) },
      {
        name: 'warnings',
        everyMs: 60_000,
        run: async () => watchWarnings(chorePool, log),
      },
      { name: 'retries', everyMs: 500, run: ifAny('retries', async () => retry(chorePool, log)) },
      {
        name: 'key-events',
        everyMs: 600_000,
        run: async () => void (await forgetKeyEvents(chorePool, settings.KEY_EVENTS_RETENTION_DAYS)),
      },
      {
        name: 'retention',
        everyMs: 60_000,
        run: async () => void (await removeExpired(chorePool, retentionAges(settings), RETENTION_MS)),
      },
      {
        name: 'temp-files',
        everyMs: 600_000,
        run: async () => removeLeftFiles(chorePool, settings.TEMP_DIR),
      },
    ],
  });
  started.defer(async () => worker.stop());
  for (const participant of participants)
    await inTransaction(pool, async (tx) => openSchedule(tx, participant));
  const keyEvents = await subscribeToKeyEvents(options);
  started.defer(async () => keyEvents?.close());
  const running = started.move();
  let stopped: Promise<void> | undefined;
  return { ...worker, stop: async () => (stopped ??= running.disposeAsync()) };
}

/** Subscribes to the core system's key events, if that is configured. */
async function subscribeToKeyEvents({
  pool,
  settings,
  log,
}: ServiceOptions): Promise<Subscription | undefined> {
  const { KEY_EVENTS_URL: url, KEY_EVENTS_TOPIC: topic, KEY_EVENTS_SUBSCRIPTION: subscription } = settings;
  if (url === undefined || topic === undefined) return undefined;
  return consumeKeyEvents({
    ...pulsarSettings(settings),
    pool,
    log,
    url,
    topic,
    subscription,
    // The default name that Pulsar's own clients use.
    deadLetterTopic: settings.KEY_EVENTS_DEAD_LETTER_TOPIC ?? `${topic}-${subscription}-DLQ`,
  });
}

/** Fields of a run that each log line about it contains. */
function logFields({ input }: { input: Record<string, unknown> }): Record<string, unknown> {
  return { participant: input['participant'], keyType: input['keyType'] };
}

/** The relay of alerts to ALERT_URL. It does nothing without one. */
function relayOfAlerts(pool: Pool, settings: Settings, log: Logger): () => Promise<void> {
  const { ALERT_URL: url, ALERT_FORMAT: format, ALERT_PAGERDUTY_KEY: routingKey } = settings;
  if (url === undefined) return async () => undefined;
  const transport = webhookTransport(url);
  return async () => {
    const body = (row: Parameters<typeof alertBody>[0]) => alertBody(row, { format, routingKey });
    await relayOutbox(pool, transport, { destination: 'ALERT', body, log });
  };
}

/** Raises and clears warnings, and logs each. */
async function watchWarnings(pool: Pool, log: Logger): Promise<void> {
  for (const { change, ...warning } of await checkWarnings(pool)) {
    const { participant, keyType, code, since } = warning;
    const fields = { participant, keyType, code, since };
    if (change === 'RAISED') log.warn(fields, `warning: ${warningText(warning)}`);
    else log.info(fields, 'the cause of a warning has ended');
  }
}

/** Starts the automatic retries that are due, and logs them. */
async function retry(pool: Pool, log: Logger): Promise<void> {
  for (const { runId, participant, keyTypes, reason } of await startRetries(pool)) {
    log.info({ runId, participant, keyTypes, reason }, 'an automatic retry was started');
  }
}

/** How long runs and audit records are kept, from the settings. */
export function retentionAges(settings: Settings): RetentionAges {
  return { runDays: settings.RETENTION_RUN_DAYS, auditDays: settings.RETENTION_AUDIT_DAYS };
}
