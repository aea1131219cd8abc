import type { Pool } from 'pg';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { AttemptReport } from '../engine/index.ts';
import { singleFlightQuery } from './bounded-query.ts';
import { createReader, OUTBOX_MOST } from './metric-queries.ts';

export interface Metrics {
  /** A registry of its own: two workers in one process don't mix. */
  registry: Registry;
  /** To be given to the worker: each ended attempt counts. */
  onAttempt(report: AttemptReport): void;
  /** To be given to the worker: each thing it repaired counts. */
  onRecovered(what: string): void;
}

/** From a claim of some milliseconds to a comparison of half an hour. */
const SECONDS = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800];
const SHARED = 'Read from the database, the same on every worker: aggregate with max, not sum.';

/**
 * The service's metrics. A scrape waits 0.6 s for the database at the most, then serves what it read last, with
 * `dict_vsync_database_up 0`; a reading that takes longer serves the next scrape. Labels hold no personal data.
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
  // Each metric is asked for its values at once, and all join the one refresh.
  const collect = async () => {
    await refresh().catch(() => undefined);
  };

  const up = new Gauge({
    name: 'dict_vsync_database_up',
    help: '1 when the database answered this scrape in time; 0: what comes from it is of an earlier one.',
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
    help: `VSyncs sent to DICT, verifications and confirmations, by its answer (ERROR: none came). ${SHARED}`,
    labelNames: ['participant', 'key_type', 'result'],
    registers,
    collect,
  });
  const runs = new Gauge({
    name: 'dict_vsync_runs',
    help: `Runs by machine and status: all open ones, the closed ones begun in the last 7 days, and those put aside (POISONED) in the last 7 days. ${SHARED}`,
    labelNames: ['machine', 'status'],
    registers,
    collect,
  });
  const outbox = new Gauge({
    name: 'dict_vsync_outbox_pending',
    help: `Messages to Core-Dict that wait to be delivered, counted up to ${OUTBOX_MOST}. ${SHARED}`,
    registers,
    collect,
  });
  const outboxDead = new Gauge({
    name: 'dict_vsync_outbox_dead',
    help: `Messages to Core-Dict put aside because they were refused for good: dict-vsync outbox retry. ${SHARED}`,
    registers,
    collect,
  });
  const outboxOldest = new Gauge({
    name: 'dict_vsync_outbox_oldest_age_seconds',
    help: `How long the oldest message to Core-Dict has waited, without those put aside; 0: none waits. ${SHARED}`,
    registers,
    collect,
  });
  const feedQueued = new Gauge({
    name: 'dict_vsync_feed_queued',
    help: `Keys of connected tables to be looked at again, counted up to ${OUTBOX_MOST}. ${SHARED}`,
    registers,
    collect,
  });
  const incomplete = new Gauge({
    name: 'dict_vsync_vsync_incomplete',
    help: `1 when the VSync may lack keys: of connected tables (dict.feed_rejects) or of key events (dict.key_event_rejects). ${SHARED}`,
    labelNames: ['participant', 'key_type'],
    registers,
    collect,
  });
  const lastOk = new Gauge({
    name: 'dict_vsync_vsync_age_of_last_ok_seconds',
    help: `Time since DICT last answered OK; absent as long as it never did. The regulator allows 36 hours. ${SHARED}`,
    labelNames: ['participant', 'key_type'],
    registers,
    collect,
  });
  const deadlineMissed = new Gauge({
    name: 'dict_vsync_deadline_missed',
    help: `1 while a configured participant's key type has had no OK for SYNC_DEADLINE_HOURS, else 0. ${SHARED}`,
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
    help: 'Attempts of activities on this worker, by how they ended.',
    labelNames: attemptLabels,
    registers,
  });
  const recovered = new Counter({
    name: 'dict_vsync_recovered_total',
    help: 'What this worker repaired: runs of dead workers, runs that nothing would have moved (docs/explanation/reliability.md).',
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
