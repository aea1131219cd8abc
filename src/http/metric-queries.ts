import { one } from '../errors/rows.ts';
import { countPoisoned } from '../engine/index.ts';
import type { Ask } from './bounded-query.ts';

/** What a scrape reads from the database. */
export interface Readings {
  /** Answers of DICT ever kept, a row a participant, key type and result; 0 where there is none yet. */
  verifications: { participant: string; keyType: string; result: string; count: number }[];
  /** Open runs, those closed that began in the last 7 days, and those put aside (POISONED) in the last 7 days. */
  runs: { machine: string; status: string; count: number }[];
  /** Messages to Core-Dict not delivered yet, counted up to OUTBOX_MOST. */
  outboxPending: number;
  /** Messages put aside, and how long the oldest one not put aside has waited; 0: none. */
  outboxDead: number;
  outboxOldestSeconds: number;
  /** Participants and key types whose VSync lacks keys of connected tables (1) or does not (0). */
  incomplete: { participant: string; keyType: string; value: number }[];
  /** Keys of connected tables to be looked at again, counted up to OUTBOX_MOST. */
  feedQueued: number;
  /** Seconds since DICT's last OK, for the key types that ever had one. */
  lastOk: { participant: string; keyType: string; seconds: number }[];
  /** Whether the deadline of the next OK is missed, for the configured participants. */
  deadlines: { participant: string; keyType: string; missed: boolean }[];
}

export const OUTBOX_MOST = 100_000;
const RESULTS = ['OK', 'NOK', 'ERROR'];
const DAY_MS = 86_400_000;

/** The smallest UUID version 7 of a moment (ms since 1970): ids of our tables sort by it. */
function uuidFrom(ms: number): string {
  const hex = Math.max(0, Math.floor(ms)).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`;
}

/**
 * A reader whose cost does not grow with the tables' age. Verifications are counted incrementally: all of them once,
 * from then on only those of the last day, by the primary key (a UUID version 7 sorts by time); a day, because an
 * answer comes minutes after its question, so that older rows don't change any more. Counting all each time would read
 * the whole table, and a count of this process's own steps would begin at 0 with each restart.
 */
export function createReader(): (ask: Ask) => Promise<Readings> {
  let settled = new Map<string, number>();
  let settledUntil = uuidFrom(0);

  return async (ask) => {
    const status = await ask.query<{
      participant: string;
      key_type: string;
      seconds: number | null;
      incomplete: number;
      missed: boolean | null;
    }>(
      `select participant, key_type, extract(epoch from age_of_last_ok)::float8 as seconds, incomplete::integer,
          case when deadline_at is not null then deadline_missed end as missed
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
      [settledUntil, until],
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
    const outbox = await ask.query<{ count: number }>(
      `select count(*)::float8 as count
       from (select from dict.outbox where delivered_at is null and dead_at is null limit ${OUTBOX_MOST}) o`,
    );
    const streams = await ask.query<{ dead: number; oldest: number }>(
      `select coalesce(sum(dead), 0)::float8 as dead,
         coalesce(extract(epoch from workflow.now() - min(oldest_waiting_at)), 0)::float8 as oldest
       from dict.outbox_streams`,
    );

    const feed = await ask.query<{ count: number }>(
      `select count(*)::float8 as count from (select from dict.feed_queue limit ${OUTBOX_MOST}) q`,
    );

    const counts = new Map<string, number>();
    for (const { participant, key_type } of status.rows) {
      for (const result of RESULTS) counts.set(seriesOf(participant, key_type, result), 0);
    }
    for (const [series, count] of settled) counts.set(series, count);
    const nowSettled = new Map(settled);
    for (const { participant, key_type, result, old, fresh } of answers.rows) {
      const series = seriesOf(participant, key_type, result);
      const before = (settled.get(series) ?? 0) + old;
      nowSettled.set(series, before);
      counts.set(series, before + fresh);
    }
    settled = nowSettled;
    settledUntil = until;

    return {
      verifications: [...counts].map(([series, count]) => {
        const [participant = '', keyType = '', result = ''] = series.split(' ');
        return { participant, keyType, result, count };
      }),
      runs: [...runs.rows, ...poisoned.map((counted) => ({ ...counted, status: 'POISONED' }))],
      outboxPending: one(outbox.rows).count,
      outboxDead: one(streams.rows).dead,
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
