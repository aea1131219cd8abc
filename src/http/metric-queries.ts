import { one } from '../errors/rows.ts';
import { readWarnings, type Warning } from '../dict/vsync/warnings.ts';
import { countPoisoned } from '../engine/index.ts';
import type { Ask } from './bounded-query.ts';

/** What a scrape reads from the database. */
export interface Readings {
  /** The number of DICT's answers in the database, per participant, key type and result; 0 without an answer. */
  verifications: { participant: string; keyType: string; result: string; count: number }[];
  /** Open runs, closed runs that began in the last 7 days, and runs that became POISONED in the last 7 days. */
  runs: { machine: string; status: string; count: number }[];
  /** Messages to Core-Dict that are not delivered yet, counted up to OUTBOX_MOST. */
  outboxPending: number;
  /** Dead messages to Core-Dict. */
  outboxDead: number;
  /** How long the oldest message that is not dead has been waiting. 0 if no message waits. */
  outboxOldestSeconds: number;
  /** The same of alerts to ALERT_URL. */
  alertsPending: number;
  alertsDead: number;
  /** The present warnings. */
  warnings: Pick<Warning, 'participant' | 'keyType' | 'code'>[];
  /** Held keys, for each participant and key type. */
  heldKeys: { participant: string; keyType: string; count: number }[];
  /** For each participant and key type: whether its VSync may lack keys (1) or not (0). */
  incomplete: { participant: string; keyType: string; value: number }[];
  /** Keys of connected tables that wait to be read again, counted up to OUTBOX_MOST. */
  feedQueued: number;
  /** Seconds since DICT's last OK, for the key types that have had an OK. */
  lastOk: { participant: string; keyType: string; seconds: number }[];
  /** Whether the deadline for the next OK is missed, for the configured participants. */
  deadlines: { participant: string; keyType: string; missed: boolean }[];
}

export const OUTBOX_MOST = 100_000;
const RESULTS = ['OK', 'NOK', 'ERROR'];
const DAY_MS = 86_400_000;

/** The smallest UUID version 7 of a time (ms since 1970). The ids of our tables sort by it. */
function uuidFrom(ms: number): string {
  const hex = Math.max(0, Math.floor(ms)).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`;
}

/**
 * A reader whose cost does not grow with the tables' age. Verifications are counted incrementally: all of them once,
 * then only those of the last day, by the primary key (a UUID version 7 sorts by time). A day is enough, because DICT
 * answers within minutes and older rows no longer change. Counting all rows each time would read the whole table, and
 * counting only this process's own steps would begin at 0 after each restart.
 */
export function createReader(): (ask: Ask) => Promise<Readings> {
  let counted = new Map<string, number>();
  let countedUntil = uuidFrom(0);

  return async (ask) => {
    const status = await ask.query<{
      participant: string;
      key_type: string;
      seconds: number | null;
      incomplete: number;
      missed: boolean | null;
      held: number;
    }>(
      `select participant, key_type, extract(epoch from age_of_last_ok)::float8 as seconds, incomplete::integer,
          case when deadline_at is not null then deadline_missed end as missed,
          held_keys::float8 as held
       from dict.sync_status`,
    );
    const until = uuidFrom(Date.now() - DAY_MS);
    const answers = await ask.query<{
      participant: string;
      key_type: string;
      result: string;
      old: number;
      fresh: number;
    }>(
      `select participant, key_type, result, (count(*) filter (where id < $2))::float8 as old,
         (count(*) filter (where id >= $2))::float8 as fresh
       from dict.sync_verifications where id >= $1 and result is not null group by 1, 2, 3`,
      [countedUntil, until],
    );
    const runs = await ask.query<Readings['runs'][number]>(
      `select machine, status, count(*)::float8 as count from workflow.runs
       where closed_at is null group by 1, 2
       union all
       select machine, status, count(*)::float8 from workflow.runs
       where closed_at is not null and status <> 'POISONED' and id >= $1 group by 1, 2`,
      [uuidFrom(Date.now() - 7 * DAY_MS)],
    );
    const poisoned = await countPoisoned(ask);
    const outbox = await ask.query<{ core_dict: number; alert: number }>(
      `select (select count(*) from (select from dict.outbox
           where destination = 'CORE_DICT' and delivered_at is null and dead_at is null limit ${OUTBOX_MOST}) o)::float8 as core_dict,
         (select count(*) from (select from dict.outbox
           where destination = 'ALERT' and delivered_at is null and dead_at is null limit ${OUTBOX_MOST}) o)::float8 as alert`,
    );
    const streams = await ask.query<{ dead: number; alerts_dead: number; oldest: number }>(
      `select coalesce(sum(dead) filter (where destination = 'CORE_DICT'), 0)::float8 as dead,
         coalesce(sum(dead) filter (where destination = 'ALERT'), 0)::float8 as alerts_dead,
         coalesce(extract(epoch from workflow.now() - min(oldest_waiting_at) filter (where destination = 'CORE_DICT')), 0)::float8
           as oldest
       from dict.outbox_streams`,
    );
    const warnings = await readWarnings(ask);

    const feed = await ask.query<{ count: number }>(
      `select count(*)::float8 as count from (select from dict.feed_queue limit ${OUTBOX_MOST}) q`,
    );

    const counts = new Map<string, number>();
    for (const { participant, key_type } of status.rows) {
      for (const result of RESULTS) counts.set(seriesOf(participant, key_type, result), 0);
    }
    for (const [series, count] of counted) counts.set(series, count);
    const nowCounted = new Map(counted);
    for (const { participant, key_type, result, old, fresh } of answers.rows) {
      const series = seriesOf(participant, key_type, result);
      const before = (counted.get(series) ?? 0) + old;
      nowCounted.set(series, before);
      counts.set(series, before + fresh);
    }
    counted = nowCounted;
    countedUntil = until;

    return {
      verifications: [...counts].map(([series, count]) => {
        const [participant = '', keyType = '', result = ''] = series.split(' ');
        return { participant, keyType, result, count };
      }),
      runs: [...runs.rows, ...poisoned.map((row) => ({ ...row, status: 'POISONED' }))],
      outboxPending: one(outbox.rows).core_dict,
      outboxDead: one(streams.rows).dead,
      alertsPending: one(outbox.rows).alert,
      alertsDead: one(streams.rows).alerts_dead,
      warnings,
      heldKeys: status.rows.map(({ participant, key_type, held }) => ({
        participant,
        keyType: key_type,
        count: held,
      })),
      outboxOldestSeconds: one(streams.rows).oldest,
      incomplete: status.rows.map(({ participant, key_type, incomplete }) => ({
        participant,
        keyType: key_type,
        value: incomplete,
      })),
      feedQueued: one(feed.rows).count,
      lastOk: status.rows.flatMap(({ participant, key_type, seconds }) =>
        seconds === null ? [] : [{ participant, keyType: key_type, seconds }],
      ),
      deadlines: status.rows.flatMap(({ participant, key_type, missed }) =>
        missed === null ? [] : [{ participant, keyType: key_type, missed }],
      ),
    };
  };
}

function seriesOf(participant: string, keyType: string, result: string): string {
  return `${participant} ${keyType} ${result}`;
}
