import type { Pool } from 'pg';
import { translateDatabaseErrors } from '../../engine/index.ts';
import { one } from '../../errors/rows.ts';
import type { Destination } from './streams.ts';

/** An undelivered message, without its content. WAITING: will be delivered. DEAD: refused for good. */
export interface Undelivered {
  id: string;
  destination: Destination;
  participant: string;
  keyType: string;
  sequence: string;
  type: string;
  runId: string | null;
  createdAt: Date;
  state: 'WAITING' | 'DEAD';
  attempts: number;
  /** Its last error, or that of its stream. */
  errorCode: string | null;
  deadAt: Date | null;
  /** Its stream is backing off until this time. */
  retryAt: Date | null;
}

/** The undelivered messages in the order of their streams, at most `limit`, and the number of all of them. */
export async function listUndelivered(
  db: Pick<Pool, 'query'>,
  { state, limit }: { state?: Undelivered['state'] | undefined; limit: number },
): Promise<{ waiting: number; dead: number; messages: Undelivered[] }> {
  const { rows: counts } = await db.query<{ waiting: number; dead: number }>(
    `select count(*) filter (where dead_at is null)::float8 as waiting,
       count(*) filter (where dead_at is not null)::float8 as dead
     from dict.outbox where delivered_at is null`,
  );
  const { rows: messages } = await db.query<Undelivered>(
    `select id, destination, participant, key_type as "keyType", sequence, type, run_id as "runId", created_at as "createdAt", state,
       attempts, error_code as "errorCode", dead_at as "deadAt", retry_at as "retryAt"
     from dict.outbox_messages where state = coalesce($1, state)
     order by destination desc, participant, key_type, sequence limit $2`,
    [state ?? null, limit],
  );
  return { ...one(counts), messages };
}

/** Sends dead messages again (without ids: all), in one transaction. Returns how many. Throws DV_MESSAGE_NOT_DEAD. */
export async function retryDead(db: Pick<Pool, 'query'>, ids?: readonly string[]): Promise<number> {
  const { rows } = await translateDatabaseErrors(async () =>
    db.query<{ again: number }>('select dict.retry_outbox($1)::float8 as again', [ids ?? null]),
  );
  return one(rows).again;
}

/** A stream whose messages are not delivered. */
export interface TroubledStream {
  destination: Destination;
  participant: string;
  keyType: string;
  dead: number;
  /** Since when the oldest message waits. Null: no message waits, or not for long. */
  waitingSince: Date | null;
  errorCode: string | null;
}

/**
 * Messages that wait for this long are reported. Normally they wait seconds; during a broker's restart a minute or two.
 */
const OLD_MINUTES = 10;

/** The streams with dead messages, or with a message that has waited for more than ten minutes. */
export async function readTroubledStreams(db: Pick<Pool, 'query'>): Promise<TroubledStream[]> {
  const { rows } = await db.query<TroubledStream>(
    `select destination, participant, key_type as "keyType", dead::float8 as dead, error_code as "errorCode",
       case when oldest_waiting_at < workflow.now() - $1 * interval '1 minute' then oldest_waiting_at end as "waitingSince"
     from dict.outbox_streams
     where dead > 0 or oldest_waiting_at < workflow.now() - $1 * interval '1 minute'
     order by 1 desc, 2, 3`,
    [OLD_MINUTES],
  );
  return rows;
}

/** Removes alerts that wait or are dead although there is no ALERT_URL any more. Returns how many. */
export async function dropAlerts(db: Pick<Pool, 'query'>): Promise<number> {
  const { rowCount } = await db.query(
    "delete from dict.outbox where destination = 'ALERT' and delivered_at is null",
  );
  return rowCount ?? 0;
}
