import type { Pool } from 'pg';
import { one } from '../../errors/rows.ts';
import type { Transaction } from '../../engine/index.ts';
import type { Outboxed } from './envelope.ts';

/** A stream of messages: one participant and key type (or ALL), in which they keep their order. */
export interface Stream {
  participant: string;
  keyType: string;
}

const BATCH = 100;

/**
 * A broker's refusal may be a half-made change of its configuration: so three tries, some seconds apart. More would hold
 * up the stream for what will not change.
 */
export const REFUSALS = 3;

/** Seconds before the second try; doubled at each further one, up to the most. Never given up. */
const BACKOFF_FIRST = 1;
const BACKOFF_MOST = 30;

/** The streams that have something to deliver and are not backing off. One index probe a stream, whatever waits. */
export async function dueStreams(pool: Pool): Promise<Stream[]> {
  const { rows } = await pool.query<Stream>(
    `select s.participant, s.key_type as "keyType" from dict.outbox_sequences s
     where exists (select from dict.outbox o
         where o.participant = s.participant and o.key_type = s.key_type and o.delivered_at is null and o.dead_at is null)
       and not exists (select from dict.outbox_backoffs b
         where b.participant = s.participant and b.key_type = s.key_type and b.retry_at > workflow.now())
     order by 1, 2`,
  );
  return rows;
}

/** The next messages of a stream, in order; none when another relay works on it, or it backs off. */
export async function readStream(tx: Transaction, { participant, keyType }: Stream): Promise<Outboxed[]> {
  // A statement of its own: what is read after it must see what the lock's last holder committed.
  const lock = await tx.query<{ mine: boolean }>(
    `select pg_try_advisory_xact_lock(hashtext('dict-vsync relay'), hashtext($1 || '/' || $2)) as mine`,
    [participant, keyType],
  );
  if (!one(lock.rows).mine) return [];
  const { rows } = await tx.query<Outboxed>(
    `select id, participant, key_type as "keyType", sequence, type, payload, correlation_id as "correlationId",
       created_at as "createdAt"
     from dict.outbox
     where participant = $1 and key_type = $2 and delivered_at is null and dead_at is null
       and not exists (select from dict.outbox_backoffs
         where participant = $1 and key_type = $2 and retry_at > workflow.now())
     order by sequence limit $3`,
    [participant, keyType, BATCH],
  );
  // A statement with parameters leaves its portal open, and with it its snapshot, until the next one; one without does not.
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

/** Ends a stream's backing off; whether it did. */
export async function noteSuccess(tx: Transaction, { participant, keyType }: Stream): Promise<boolean> {
  const { rowCount } = await tx.query(
    'delete from dict.outbox_backoffs where participant = $1 and key_type = $2',
    [participant, keyType],
  );
  return rowCount === 1;
}

/** What a message met. */
export interface Failure {
  id: string;
  code: string;
  /** It can never be delivered by this transport. */
  refused: boolean;
  /** Whether others of its batch were delivered: the transport is reachable. */
  progress: boolean;
}

/**
 * Counts the attempt and lets the stream back off, exponentially with jitter; or puts the message aside, when it was
 * refused too often, and lets the stream go on.
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
    `insert into dict.outbox_backoffs as b (participant, key_type, failures, since, retry_at, error_code)
     select $1, $2, f.failures, workflow.now(),
       workflow.now() + least($4::float8, $5::float8 * 2 ^ least(f.failures - 1, 10))
         * (0.5 + random() / 2) * interval '1 second', $3
     from (select 1 + coalesce((select failures from dict.outbox_backoffs
       where participant = $1 and key_type = $2), 0) as failures) f
     on conflict (participant, key_type) do update set
       failures = excluded.failures, retry_at = excluded.retry_at, error_code = excluded.error_code
     returning failures`,
    [stream.participant, stream.keyType, code, BACKOFF_MOST, BACKOFF_FIRST],
  );
  return { dead: false, failures: one(noted.rows).failures };
}
