import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { activities } from '../../tasks/index.ts';
import { randomUUID } from 'node:crypto';
import type { Bridge } from '../bridge/index.ts';
import type { Settings } from '../config.ts';
import { settleFeed } from '../dict/connected.ts';
import { checkDeadlines, configureDeadline } from '../dict/deadline.ts';
import { limitedBridge, seedRateLimits } from '../dict/rate-limits.ts';
import { configureParticipants, foldDeltas } from '../dict/vsync-store.ts';
import { type AttemptReport, readCrontab, type RunningWorker, startWorker } from '../engine/index.ts';
import { postgresWay, relayOutbox } from '../notify/index.ts';
import { machines, openSchedule, tickVerificationSchedules } from '../workflows/index.ts';

export interface ServiceOptions {
  pool: Pool;
  bridge: Bridge;
  settings: Settings;
  log: Logger;
  /** The crontab's text. */
  crontab: string;
  onAttempt?: (report: AttemptReport) => void;
  onRecovered?: (what: string) => void;
}

/** The service: worker, cron, relay to Core-Dict and the chores of the key base. Stops as the worker stops. */
export async function startService(options: ServiceOptions): Promise<RunningWorker> {
  const { pool, settings, log } = options;
  const participants = settings.PARTICIPANT_ISPB;
  const schedules = readCrontab(options.crontab);
  await configureParticipants(pool, participants);
  await configureDeadline(pool, settings.SYNC_DEADLINE_HOURS);
  for (const participant of participants) {
    await seedRateLimits(pool, options.bridge, participant, {
      correlationId: randomUUID().replaceAll('-', ''),
      timeoutMs: 5000,
    });
  }
  const way = postgresWay();
  const worker = await startWorker({
    pool,
    log,
    machines,
    activities,
    services: { pool, bridge: limitedBridge(options.bridge, pool), settings },
    concurrency: settings.WORKER_CONCURRENCY,
    graphileSchema: settings.GRAPHILE_WORKER_SCHEMA,
    schedules,
    ticks: { verification_schedule: tickVerificationSchedules(participants) },
    logFields: ({ input }) => ({ participant: input['participant'], keyType: input['keyType'] }),
    ...(options.onAttempt && { onAttempt: options.onAttempt }),
    ...(options.onRecovered && { onRecovered: options.onRecovered }),
    chores: [
      { name: 'relay', everyMs: 500, run: async () => void (await relayOutbox(pool, way)) },
      { name: 'fold', everyMs: 2000, run: async () => void (await foldDeltas(pool)) },
      { name: 'feed', everyMs: 1000, run: async () => void (await settleFeed(pool)) },
      {
        name: 'deadlines',
        everyMs: 60_000,
        run: async () => watchDeadlines(pool, settings.SYNC_DEADLINE_HOURS, log),
      },
      { name: 'temp-files', everyMs: 600_000, run: async () => removeLeftFiles(pool, settings.TEMP_DIR) },
    ],
  });
  try {
    for (const participant of participants) await openSchedule(pool, participant);
  } catch (error) {
    await worker.stop().catch(() => undefined);
    throw error;
  }
  return worker;
}

/** Raises what the deadline watch finds, and says so in the log. */
async function watchDeadlines(pool: Pool, hours: number, log: Logger): Promise<void> {
  for (const { participant, keyType, deadlineAt } of await checkDeadlines(pool, hours)) {
    log.warn({ participant, keyType, deadlineAt }, `DICT said no OK for ${hours} hours`);
  }
}

/** Removes temporary folders of runs that have ended: those of a cancelled run, or of a crash. */
async function removeLeftFiles(pool: Pool, tempDir: string): Promise<void> {
  const folders = await readdir(tempDir).catch(() => []);
  const runs = folders.filter((name) => /^[0-9a-f-]{36}$/.test(name));
  const { rows } = await pool.query<{ id: string }>(
    'select id from workflow.runs where id = any ($1::uuid[]) and closed_at is not null',
    [runs],
  );
  for (const { id } of rows) await rm(join(tempDir, id), { recursive: true, force: true });
}
