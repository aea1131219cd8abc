import type { Pool } from 'pg';
import { one } from '../../errors/rows.ts';
import type { Transaction } from '../../engine/index.ts';
import type { Outboxed } from './envelope.ts';

/** Who receives messages: Core-Dict (NOTIFY_URL), or a person (ALERT_URL). Neither waits for the other. */
export type Destination = 'CORE_DICT' | 'ALERT';

/** A stream of messages: one destination, participant and key type (or ALL). Order is kept within it. */
export interface Stream {
  destination: Destination;
  participant: string;
  keyType: string;
}

const BATCH = 100;

/**
 * A message is tried three times, some seconds apart, because a refusal may come from a configuration change of the
 * broker that is not complete yet. More tries would delay the stream for a refusal that is final.
 */
export const REFUSALS = 3;

/** Seconds before the second try, doubled for each further try up to the maximum. Delivery is never given up. */
const BACKOFF_FIRST = 1;
const BACKOFF_MOST = 30;

/**
 * The streams with undelivered messages that are not backing off. One index probe for each stream, however much waits.
 */
export async function dueStreams(pool: Pool, destination: Destination): Promise<Stream[]> {
  const { rows } = await pool.query<Stream>(
    `select s.destination, s.participant, s.key_type as "keyType" from dict.outbox_sequences s
     where s.destination = $1
       and exists (select from dict.outbox o
         where o.destination = s.destination and o.participant = s.participant and o.key_type = s.key_type
           and o.delivered_at is null and o.dead_at is null)
       and not exists (select from dict.outbox_backoffs b
         where b.destination = s.destination and b.participant = s.participant and b.key_type = s.key_type
           and b.retry_at > workflow.now())
     order by 2, 3`,
    [destination],
  );
  return rows;
}

/** The next messages of a stream, in order. Empty if another relay works on the stream or it is backing off. */
export async function readStream(
  tx: Transaction,
  { destination, participant, keyType }: Stream,
): Promise<Outboxed[]> {
  // A separate statement: the query after it must see what the previous owner of the lock committed.
  const lock = await tx.query<{ mine: boolean }>(
    `select pg_try_advisory_xact_lock(hashtext('dict-vsync relay'), hashtext($1 || '/' || $2 || '/' || $3)) as mine`,
    [destination, participant, keyType],
  );
  if (!one(lock.rows).mine) return [];
  const { rows } = await tx.query<Outboxed>(
    `select id, participant, key_type as "keyType", sequence, type, payload, correlation_id as "correlationId",
       created_at as "createdAt"
     from dict.outbox
     where destination = $1 and participant = $2 and key_type = $3 and delivered_at is null and dead_at is null
       and not exists (select from dict.outbox_backoffs
         where destination = $1 and participant = $2 and key_type = $3 and retry_at > workflow.now())
     order by sequence limit $4`,
    [destination, participant, keyType, BATCH],
  );
  // A statement with parameters keeps its portal and its snapshot open until the next statement. This one has none, and
  // frees both.
  await tx.query('select');
  return rows;
}

/** Marks messages as delivered. */
export async function markDelivered(tx: Transaction, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await tx.query(
    'update dict.outbox set delivered_at = workflow.now(), attempts = attempts + 1 where id = any ($1)',
    [ids],
  );
}

/** Ends the back-off of a stream. Returns whether it was backing off. */
export async function noteSuccess(
  tx: Transaction,
  { destination, participant, keyType }: Stream,
): Promise<boolean> {
  const { rowCount } = await tx.query(
    'delete from dict.outbox_backoffs where destination = $1 and participant = $2 and key_type = $3',
    [destination, participant, keyType],
  );
  return rowCount === 1;
}

/** Why a message was not delivered. */
export interface Failure {
  id: string;
  code: string;
  /** This transport can never deliver the message. */
  refused: boolean;
  /** Whether other messages of its batch were delivered, so that the transport is reachable. */
  progress: boolean;
}

/**
 * Counts the attempt. A message that was refused too often becomes dead, and the stream continues. Otherwise the stream
 * backs off, exponentially with jitter.
 */
export async function noteFailure(
  tx: Transaction,
  stream: Stream,
  { id, code, refused, progress }: Failure,
): Promise<{ dead: boolean; failures: number }> {
  const { rows } = await tx.query<{ dead: boolean }>(
    `update dict.outbox set attempts = attempts + 1, last_error = $2, refusals = refusals + $3,
       dead_at = case when refusals + $3 >= $4 then workflow.now() end
     where id = $1 returning dead_at is not null as dead`,
    [id, code, refused ? 1 : 0, REFUSALS],
  );
  if (progress) await noteSuccess(tx, stream);
  if (one(rows).dead) {
    await noteSuccess(tx, stream);
    return { dead: true, failures: 0 };
  }
  const noted = await tx.query<{ failures: number }>(
    `insert into dict.outbox_backoffs as b (destination, participant, key_type, failures, since, retry_at, error_code)
     select $1, $2, $3, f.failures, workflow.now(),
       workflow.now() + least($5::float8, $6::float8 * 2 ^ least(f.failures - 1, 10))
         * (0.5 + random() / 2) * interval '1 second', $4
     from (select 1 + coalesce((select failures from dict.outbox_backoffs
       where destination = $1 and participant = $2 and key_type = $3), 0) as failures) f
     on conflict (destination, participant, key_type) do update set
       failures = excluded.failures, retry_at = excluded.retry_at, error_code = excluded.error_code
     returning failures`,
    [stream.destination, stream.participant, stream.keyType, code, BACKOFF_MOST, BACKOFF_FIRST],
  );
  return { dead: false, failures: one(noted.rows).failures };
}
