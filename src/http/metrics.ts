import type { Pool } from 'pg';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { AttemptReport } from '../engine/index.ts';
import { singleFlightQuery } from './bounded-query.ts';
import { createReader, OUTBOX_MOST } from './metric-queries.ts';

export interface Metrics {
  /** A separate registry, so that the metrics of two workers in one process don't mix. */
  registry: Registry;
  /** To be given to the worker: counts each attempt that has ended. */
  onAttempt(report: AttemptReport): void;
  /** To be given to the worker: counts each thing that it repaired. */
  onRecovered(what: string): void;
}

/** The buckets reach from a claim of a few milliseconds to a comparison of half an hour. */
const SECONDS = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800];
const SHARED = 'Read from the database and the same on every worker: aggregate with max, not with sum.';

/**
 * The service's metrics. A scrape waits at most 0.6 s for the database. After that it serves the last values read, with
 * `dict_vsync_database_up 0`. A reading that takes longer is served by the next scrape. Labels contain no personal
 * data.
 */
export function createMetrics(pool: Pool): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });

  const read = createReader();
  const refresh = singleFlightQuery(pool, { waitMs: 600, limitMs: 10_000 }, async (ask) => {
    const readings = await read(ask);
    verifications.reset();
    for (const { count, participant, keyType: key_type, result } of readings.verifications) {
      verifications.inc({ participant, key_type, result }, count);
    }
    runs.reset();
    for (const { count, machine, status } of readings.runs) runs.set({ machine, status }, count);
    outbox.set(readings.outboxPending);
    outboxDead.set(readings.outboxDead);
    outboxOldest.set(readings.outboxOldestSeconds);
    alertsPending.set(readings.alertsPending);
    alertsDead.set(readings.alertsDead);
    warnings.reset();
    for (const { participant, keyType: key_type, code } of readings.warnings) {
      warnings.set({ participant, key_type, code }, 1);
    }
    heldKeys.reset();
    for (const { count, participant, keyType: key_type } of readings.heldKeys) {
      heldKeys.set({ participant, key_type }, count);
    }
    feedQueued.set(readings.feedQueued);
    incomplete.reset();
    for (const { value, participant, keyType: key_type } of readings.incomplete) {
      incomplete.set({ participant, key_type }, value);
    }
    lastOk.reset();
    for (const { seconds, participant, keyType: key_type } of readings.lastOk) {
      lastOk.set({ participant, key_type }, seconds);
    }
    deadlineMissed.reset();
    for (const { missed, participant, keyType: key_type } of readings.deadlines) {
      deadlineMissed.set({ participant, key_type }, missed ? 1 : 0);
    }
  });
  // All metrics are collected simultaneously, and all join one refresh.
  const collect = async () => {
    await refresh().catch(() => undefined);
  };

  const up = new Gauge({
    name: 'dict_vsync_database_up',
    help: '1 if the database answered this scrape in time. 0: the values read from the database are those of an earlier scrape.',
    registers,
    async collect() {
      up.set(
        await refresh().then(
          () => 1,
          () => 0,
        ),
      );
    },
  });
  const verifications = new Counter({
    name: 'dict_vsync_verifications_total',
    help: `VSyncs sent to DICT in verifications and confirmations, by DICT's answer (ERROR: no answer was received). ${SHARED}`,
    labelNames: ['participant', 'key_type', 'result'],
    registers,
    collect,
  });
  const runs = new Gauge({
    name: 'dict_vsync_runs',
    help: `Runs by machine and status: all open runs, closed runs that began in the last 7 days, and runs that became POISONED in the last 7 days. ${SHARED}`,
    labelNames: ['machine', 'status'],
    registers,
    collect,
  });
  const outbox = new Gauge({
    name: 'dict_vsync_outbox_pending',
    help: `Messages to Core-Dict that are waiting to be delivered, counted up to ${OUTBOX_MOST}. ${SHARED}`,
    registers,
    collect,
  });
  const outboxDead = new Gauge({
    name: 'dict_vsync_outbox_dead',
    help: `Dead messages to Core-Dict: the transport refused them for good. dict-vsync outbox retry sends them again. ${SHARED}`,
    registers,
    collect,
  });
  const outboxOldest = new Gauge({
    name: 'dict_vsync_outbox_oldest_age_seconds',
    help: `How long the oldest message to Core-Dict has been waiting, not counting dead messages. 0 if no message is waiting. ${SHARED}`,
    registers,
    collect,
  });
  const alertsPending = new Gauge({
    name: 'dict_vsync_alerts_pending',
    help: `Alerts that are waiting to be sent to ALERT_URL, counted up to ${OUTBOX_MOST}. ${SHARED}`,
    registers,
    collect,
  });
  const alertsDead = new Gauge({
    name: 'dict_vsync_alerts_dead',
    help: `Dead alerts: ALERT_URL refused them for good. dict-vsync outbox retry sends them again. ${SHARED}`,
    registers,
    collect,
  });
  const warnings = new Gauge({
    name: 'dict_vsync_warnings',
    help: `1 for each present warning, by its code (dict.warnings, docs/guides/operations.md); absent otherwise. ${SHARED}`,
    labelNames: ['participant', 'key_type', 'code'],
    registers,
    collect,
  });
  const heldKeys = new Gauge({
    name: 'dict_vsync_held_keys',
    help: `Keys that are held since an undo. Reconciliations leave them alone, although DICT may have other content. ${SHARED}`,
    labelNames: ['participant', 'key_type'],
    registers,
    collect,
  });
  const feedQueued = new Gauge({
    name: 'dict_vsync_feed_queued',
    help: `Keys of connected tables that are waiting to be read again, counted up to ${OUTBOX_MOST}. ${SHARED}`,
    registers,
    collect,
  });
  const incomplete = new Gauge({
    name: 'dict_vsync_vsync_incomplete',
    help: `1 if the VSync may lack keys, because connected tables (dict.feed_rejects) or key events (dict.key_event_rejects) had unusable ones; otherwise 0. ${SHARED}`,
    labelNames: ['participant', 'key_type'],
    registers,
    collect,
  });
  const lastOk = new Gauge({
    name: 'dict_vsync_vsync_age_of_last_ok_seconds',
    help: `Time since DICT last answered OK. Absent if DICT has never answered OK. The regulator allows 36 hours. ${SHARED}`,
    labelNames: ['participant', 'key_type'],
    registers,
    collect,
  });
  const deadlineMissed = new Gauge({
    name: 'dict_vsync_deadline_missed',
    help: `1 while a configured participant's key type has had no OK for SYNC_DEADLINE_HOURS; otherwise 0. ${SHARED}`,
    labelNames: ['participant', 'key_type'],
    registers,
    collect,
  });

  const attemptLabels = ['machine', 'activity', 'outcome'] as const;
  const seconds = new Histogram({
    name: 'dict_vsync_activity_duration_seconds',
    help: 'How long the attempts of activities took on this worker.',
    labelNames: attemptLabels,
    buckets: SECONDS,
    registers,
  });
  const attempts = new Counter({
    name: 'dict_vsync_activity_attempts_total',
    help: 'Attempts of activities on this worker, by their outcome.',
    labelNames: attemptLabels,
    registers,
  });
  const recovered = new Counter({
    name: 'dict_vsync_recovered_total',
    help: 'Repairs by this worker: runs of dead workers, and runs that nothing else would have advanced (docs/explanation/reliability.md).',
    labelNames: ['what'],
    registers,
  });
  return {
    registry,
    onRecovered: (what) => recovered.inc({ what: what.replaceAll(' ', '_') }),
    onAttempt: ({ machine, activity, outcome, seconds: took }) => {
      const labels = { machine, activity, outcome };
      seconds.observe(labels, took);
      attempts.inc(labels);
    },
  };
}
