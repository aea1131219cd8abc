import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { crashPoint, inTransaction, type Transaction } from '../../engine/index.ts';
import { DvError, type ErrorClass } from '../../errors/dv-error.ts';
import { cloudEvent, type Outboxed } from './envelope.ts';
import type { NotifyContent } from './personal-data.ts';
import {
  type Destination,
  dueStreams,
  markDelivered,
  noteFailure,
  noteSuccess,
  readStream,
  type Stream,
} from './streams.ts';
import type { Delivery, OutboxMessage, Transport } from '../transports/transport.ts';

export interface RelayOptions {
  /** Whose messages. Default: CORE_DICT. */
  destination?: Destination;
  /** Makes the body that the transport sends. Default: the CloudEvent for Core-Dict, with `content`. */
  body?: (row: Outboxed) => string;
  /** Default: full. */
  content?: NotifyContent;
  log?: Logger;
  /** A transport that does not answer within this time counts as unreachable. Default: 30 s. */
  timeoutMs?: number;
}

/** Streams processed simultaneously. Each uses a database connection while it waits for the transport. */
const STREAMS: Record<Destination, number> = { CORE_DICT: 4, ALERT: 1 };

/** What the messages to a destination are called in the log. */
const NAMES: Record<Destination, { one: string; all: string }> = {
  CORE_DICT: { one: 'a message to Core-Dict', all: 'messages to Core-Dict' },
  ALERT: { one: 'an alert', all: 'alerts' },
};

/** Batches of a stream before other streams have their turn. */
const BATCHES = 10;

const DELIVERY_TIMEOUT_MS = 30_000;

/**
 * Delivers the messages to one destination that wait in the outbox, in order within each stream (a participant and key
 * type). Streams and destinations are independent of each other. Only one relay at a time works on a stream, however
 * many workers there are. When the transport fails, the stream backs off. A message that the transport refuses three
 * times for good becomes dead. Returns how many messages were delivered. An error that the transport did not cause is
 * thrown after all streams have had their turn.
 */
export async function relayOutbox(
  pool: Pool,
  transport: Transport,
  options: RelayOptions = {},
): Promise<number> {
  let delivered = 0;
  for (;;) {
    const { destination = 'CORE_DICT' } = options;
    const streams = await dueStreams(pool, destination);
    const before = delivered;
    const broken: unknown[] = [];
    const next = async (): Promise<void> => {
      for (let stream = streams.shift(); stream !== undefined; stream = streams.shift()) {
        try {
          // Not `+= await`: it would read the sum before it waits, and lose what other streams added meanwhile.
          const count = await relayStream(pool, transport, stream, options);
          delivered += count;
        } catch (error) {
          // The transport did not cause it (but Postgres, for example). The other streams still have their turn.
          broken.push(error);
        }
      }
    };
    await Promise.all(Array.from({ length: STREAMS[destination] }, next));
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

/** How a batch ended. `more`: the stream may have more messages that can be delivered immediately. */
interface Batch {
  delivered: number;
  more: boolean;
}

/**
 * Delivers one batch in one transaction. While the transport works, the transaction has only read and is between two
 * statements. In READ COMMITTED it then has no snapshot and no transaction id, so it does not delay vacuum.
 */
async function relayBatch(
  pool: Pool,
  transport: Transport,
  stream: Stream,
  options: RelayOptions,
): Promise<Batch> {
  const { content = 'full', log, timeoutMs = DELIVERY_TIMEOUT_MS } = options;
  const body = options.body ?? ((row: Outboxed) => JSON.stringify(cloudEvent(row, content)));
  let thrown: { error: unknown; first: string } | undefined;
  try {
    return await inTransaction(
      pool,
      async (tx) => {
        const rows = await readStream(tx, stream);
        const [first] = rows;
        if (first === undefined) return { delivered: 0, more: false };
        const messages = rows.map((row) => toMessage(row, body(row)));
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
          if (recovered)
            log?.info(
              { ...stream, transport: transport.name },
              `${NAMES[stream.destination].all} are delivered again`,
            );
          crashPoint('relay-before-commit');
          // Without this, a batch with nothing delivered and no error would repeat for ever.
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

/** The error of a delivery: a DvError, or what is known about an unexpected error. */
interface Met {
  code: string;
  class: ErrorClass;
}

/** Records and logs a failure. Returns whether the stream continues immediately. */
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
  const { one, all } = NAMES[stream.destination];
  if (dead) log?.error({ ...fields, message: id }, `${one} is dead: it was refused and will not be retried`);
  else if (failures === 1) log?.warn(fields, `${all} cannot be delivered; delivery is retried`);
  return dead;
}

function toMessage(row: Outboxed, body: string): OutboxMessage {
  const { id, participant, keyType, sequence, type, createdAt } = row;
  return { id, participant, keyType, sequence, type, createdAt, body };
}

async function deliver(
  transport: Transport,
  messages: readonly OutboxMessage[],
  tx: Transaction,
  timeoutMs: number,
): Promise<Delivery> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const text = `The transport did not answer within ${timeoutMs / 1000} s. Delivery is retried.`;
    late.reject(new DvError('DV_NOTIFY_TIMEOUT', text));
  }, timeoutMs);
  try {
    return await Promise.race([transport.deliver(messages, tx), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Classifies an error that a transport threw instead of returning it. It is not about one message, so the transport is
 * unreachable.
 */
function thrownBy(error: unknown): Met {
  // Only a code or a name: the text of an error may contain personal data of the message.
  const code = error instanceof DvError ? error.code : error instanceof Error ? error.name : 'unknown';
  return { code, class: 'retryable' };
}
