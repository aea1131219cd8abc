import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { crashPoint, inTransaction, type Transaction } from '../../engine/index.ts';
import { DvError, type ErrorClass } from '../../errors/dv-error.ts';
import { cloudEvent, type Outboxed } from './envelope.ts';
import type { NotifyContent } from './personal-data.ts';
import { dueStreams, markDelivered, noteFailure, noteSuccess, readStream, type Stream } from './streams.ts';
import type { Delivery, OutboxMessage, Transport } from '../transports/transport.ts';

export interface RelayOptions {
  /** Default: full. */
  content?: NotifyContent;
  log?: Logger;
  /** A transport that does not answer for this long counts as unreachable. Default: 30 s. */
  timeoutMs?: number;
}

/** Streams at once: each holds a connection while it waits for the transport. */
const STREAMS = 4;

/** Batches of a stream before others have their turn. */
const BATCHES = 10;

const DELIVERY_TIMEOUT_MS = 30_000;

/**
 * Delivers what waits in the outbox: in order within a stream (a participant and key type), streams independent of each
 * other; one relay at a time a stream, however many workers. When a transport fails, its stream backs off. A message that the
 * transport refuses for good is put aside after three tries. Returns how many messages were delivered. Throws what is not the
 * transport's doing, when all streams have had their turn.
 */
export async function relayOutbox(
  pool: Pool,
  transport: Transport,
  options: RelayOptions = {},
): Promise<number> {
  let delivered = 0;
  for (;;) {
    const streams = await dueStreams(pool);
    const before = delivered;
    const broken: unknown[] = [];
    const next = async (): Promise<void> => {
      for (let stream = streams.shift(); stream !== undefined; stream = streams.shift()) {
        try {
          // Not `+= await`: that reads before it waits, and the others' counts were lost.
          const count = await relayStream(pool, transport, stream, options);
          delivered += count;
        } catch (error) {
          // Not the transport's: Postgres', say. The other streams have their turn nevertheless.
          broken.push(error);
        }
      }
    };
    await Promise.all(Array.from({ length: STREAMS }, next));
    if (broken.length > 0) throw broken[0];
    if (delivered === before) return delivered;
  }
}

async function relayStream(
  pool: Pool,
  transport: Transport,
  stream: Stream,
  options: RelayOptions,
): Promise<number> {
  let delivered = 0;
  for (let n = 0; n < BATCHES; n++) {
    const batch = await relayBatch(pool, transport, stream, options);
    delivered += batch.delivered;
    if (!batch.more) break;
  }
  return delivered;
}

/** How a batch ended; `more`: the stream may have more to deliver at once. */
interface Batch {
  delivered: number;
  more: boolean;
}

/**
 * One batch in one transaction, which has read only and waits between two statements while the transport works: so it holds
 * no snapshot and has no transaction id, and keeps nobody's vacuum waiting (READ COMMITTED).
 */
async function relayBatch(
  pool: Pool,
  transport: Transport,
  stream: Stream,
  options: RelayOptions,
): Promise<Batch> {
  const { content = 'full', log, timeoutMs = DELIVERY_TIMEOUT_MS } = options;
  let thrown: { error: unknown; first: string } | undefined;
  try {
    return await inTransaction(
      pool,
      async (tx) => {
        const rows = await readStream(tx, stream);
        const [first] = rows;
        if (first === undefined) return { delivered: 0, more: false };
        const messages = rows.map((row) => toMessage(row, content));
        crashPoint('relay-before-send');
        const delivery = await deliver(transport, messages, tx, timeoutMs).catch((error: unknown) => {
          thrown = { error, first: first.id };
          throw error;
        });
        crashPoint('relay-between-send-and-mark');
        const delivered = Math.min(delivery.delivered, rows.length);
        await markDelivered(
          tx,
          rows.slice(0, delivered).map(({ id }) => id),
        );
        const failed = rows[delivered];
        if (failed === undefined || delivery.error === undefined) {
          const recovered = await noteSuccess(tx, stream);
          if (recovered) log?.info({ ...stream, transport: transport.name }, 'the way to Core-Dict is back');
          crashPoint('relay-before-commit');
          // Nothing delivered and no error would come round for ever.
          return { delivered, more: delivered > 0 };
        }
        const more = await fail(tx, stream, failed.id, delivery.error, delivered > 0, transport, log);
        return { delivered, more };
      },
      { waitsForOthers: true },
    );
  } catch (error) {
    if (thrown === undefined) throw error;
    const { first } = thrown;
    const met = thrownBy(thrown.error);
    await inTransaction(pool, async (tx) => fail(tx, stream, first, met, false, transport, log));
    return { delivered: 0, more: false };
  }
}

/** What a delivery met: a DvError, or what is known of an error that nobody foresaw. */
interface Met {
  code: string;
  class: ErrorClass;
}

/** Notes a failure and says so in the log; whether the stream goes on at once. */
async function fail(
  tx: Transaction,
  stream: Stream,
  id: string,
  error: Met,
  progress: boolean,
  transport: Transport,
  log: Logger | undefined,
): Promise<boolean> {
  const refused = error.class === 'not_retryable';
  const { dead, failures } = await noteFailure(tx, stream, { id, code: error.code, refused, progress });
  const fields = { ...stream, transport: transport.name, error: error.code };
  if (dead)
    log?.error({ ...fields, message: id }, 'a message to Core-Dict is put aside: it was refused for good');
  else if (failures === 1) log?.warn(fields, 'the way to Core-Dict fails; it is tried again');
  return dead;
}

function toMessage(row: Outboxed, content: NotifyContent): OutboxMessage {
  const { id, participant, keyType, sequence, type, createdAt } = row;
  return {
    id,
    participant,
    keyType,
    sequence,
    type,
    createdAt,
    body: JSON.stringify(cloudEvent(row, content)),
  };
}

async function deliver(
  transport: Transport,
  messages: readonly OutboxMessage[],
  tx: Transaction,
  timeoutMs: number,
): Promise<Delivery> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const text = `The way to Core-Dict did not answer within ${timeoutMs / 1000} s. It is tried again.`;
    late.reject(new DvError('DV_NOTIFY_TIMEOUT', text));
  }, timeoutMs);
  try {
    return await Promise.race([transport.deliver(messages, tx), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Of an error that a transport threw, rather than answered: it says nothing about a message, so the transport is unreachable. */
function thrownBy(error: unknown): Met {
  // A code or a name only: an error's text may hold what the message holds.
  const code = error instanceof DvError ? error.code : error instanceof Error ? error.name : 'unknown';
  return { code, class: 'retryable' };
}
