import { setTimeout as delay } from 'node:timers/promises';
import type { Transaction } from '../../engine/index.ts';
import { DvError } from '../../errors/dv-error.ts';
import { relayErrors } from '../pulsar/pulsar-errors.ts';
import type { Delivery, OutboxMessage, Transport } from './transport.ts';
import { one } from '../../errors/rows.ts';

/** Parameters for opening the producer of one stream. */
export interface Opening {
  participant: string;
  keyType: string;
  /** Always the same for a stream. By this name and the sequence the broker recognises a repetition. */
  producerName: string;
  /** The sequence before that of the first message to send. */
  before: bigint;
}

/** A connection that sends the messages of one stream, whose sequences follow each other. */
export interface Producer {
  /** Sends a message after the previous ones. Resolves when the broker has stored it. Throws a DvError. */
  send(message: OutboxMessage): Promise<void>;
  /** Closes the producer. Messages without an acknowledgement fail. */
  close(): Promise<void>;
}

/** Opens a producer. Throws a DvError: DV_NOTIFY_BUSY if a producer of that name is open elsewhere. */
export type OpenProducer = (opening: Opening) => Promise<Producer>;

/** Maximum number of messages that are sent but not yet acknowledged. */
export const WINDOW = 100;

/**
 * Messages larger than this (in UTF-16 units) are sent alone, because a broker may refuse them for their size. If it
 * had received a later message by then, it would drop this one as a repetition when it is sent again with a raised
 * limit.
 */
const LARGE = 128 * 1024;

/** A producer is closed this long after its last message, because another worker may relay the stream next. */
const IDLE_MS = 250;

/** How long to wait until another worker closes its idle producer, and how often to try. */
const BUSY_MS = 3000;
const BUSY_LOOK_MS = 50;

/**
 * A transport for a broker that remembers the last sequence of each producer name (Pulsar's de-duplication). Each
 * stream has one producer, which is opened when needed. When a message is sent again after a crash, the broker drops
 * the repetition.
 */
export function producerTransport(name: string, open: OpenProducer, end: () => Promise<void>): Transport {
  const lines = new Map<string, Line>();
  let base: Promise<string> | undefined;
  return {
    name,
    async deliver(messages, tx) {
      const [first] = messages;
      if (first === undefined) return { delivered: 0 };
      base ??= databaseName(tx).catch((error: unknown) => {
        base = undefined;
        throw error;
      });
      const { participant, keyType } = first;
      const producerName = `dict-vsync-${await base}-${participant}-${keyType}`;
      const line =
        lines.get(producerName) ?? new Line((before) => open({ participant, keyType, producerName, before }));
      lines.set(producerName, line);
      return line.deliver(messages);
    },
    async close() {
      await Promise.all(Array.from(lines.values(), (line) => line.close()));
      await end();
    },
  };
}

/**
 * A name for this database that differs from that of any other database, of its copies, and of the same database
 * created again. A producer name must not be reused when the sequences start again.
 */
async function databaseName(tx: Transaction): Promise<string> {
  const { rows } = await tx.query<{ name: string }>(
    `select to_hex((extract(epoch from min(applied_at)) * 1000)::bigint) || '-' ||
       (select oid from pg_database where datname = current_database()) as name
     from workflow.migrations_applied`,
  );
  return one(rows).name;
}

/** Opens and closes the producer of one stream, and makes one delivery at a time. */
class Line {
  readonly #open: (before: bigint) => Promise<Producer>;
  #producer: { producer: Producer; next: bigint } | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #idle: NodeJS.Timeout | undefined;

  constructor(open: (before: bigint) => Promise<Producer>) {
    this.#open = open;
  }

  deliver(messages: readonly OutboxMessage[]): Promise<Delivery> {
    return this.#inTurn(async () => {
      clearTimeout(this.#idle);
      const delivery = await this.#send(messages);
      this.#idle = setTimeout(() => void this.close().catch(() => undefined), IDLE_MS);
      return delivery;
    });
  }

  close(): Promise<void> {
    clearTimeout(this.#idle);
    return this.#inTurn(() => this.#shut());
  }

  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(act);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #shut(): Promise<void> {
    const open = this.#producer;
    this.#producer = undefined;
    await open?.producer.close();
  }

  async #send(messages: readonly OutboxMessage[]): Promise<Delivery> {
    let delivered = 0;
    let window = WINDOW;
    let closedOn: OutboxMessage | undefined;
    while (delivered < messages.length) {
      const sent = await this.#sendSome(messages.slice(delivered), window);
      delivered += sent.delivered;
      if (sent.error === undefined) continue;
      await this.#shut().catch(() => undefined);
      const failed = messages[delivered]!;
      const closedByBroker = sent.error.code === 'DV_NOTIFY_AWAY' && sent.inFlight === 1 && isLarge(failed);
      // When the broker closes the connection it does not say which message was too large. Sending one by one shows it.
      if (sent.error.class === 'not_retryable' && sent.inFlight > 1) window = 1;
      // If the broker closes the connection while we write, its reason is lost. If it does so twice for the same
      // message, the message is too large.
      else if (closedByBroker && closedOn !== failed) closedOn = failed;
      else return { delivered, error: closedByBroker ? relayErrors.tooLarge(sent.error) : sent.error };
    }
    return { delivered };
  }

  /** Sends messages up to the first gap in their sequences. */
  async #sendSome(
    messages: readonly OutboxMessage[],
    window: number,
  ): Promise<Delivery & { inFlight: number }> {
    const pending: Promise<DvError | undefined>[] = [];
    let delivered = 0;
    let inFlight = 0;
    let error: DvError | undefined;
    const awaitPending = async (to: number): Promise<void> => {
      while (pending.length > to && error === undefined) {
        inFlight = pending.length;
        error = await pending.shift();
        if (error === undefined) delivered++;
      }
    };
    try {
      const open = await this.#ready(BigInt(messages[0]!.sequence));
      for (const message of messages) {
        if (BigInt(message.sequence) !== open.next) break;
        const large = isLarge(message);
        await awaitPending(large ? 0 : window - 1);
        if (error !== undefined) break;
        open.next++;
        pending.push(open.producer.send(message).then(() => undefined, asDvError));
        if (large) await awaitPending(0);
      }
      await awaitPending(0);
    } catch (thrown) {
      error = asDvError(thrown);
    }
    return { delivered, inFlight, error };
  }

  /** The producer whose next message has this sequence. */
  async #ready(sequence: bigint): Promise<{ producer: Producer; next: bigint }> {
    if (this.#producer?.next !== sequence) {
      await this.#shut();
      this.#producer = { producer: await this.#opened(sequence - 1n), next: sequence };
    }
    return this.#producer;
  }

  async #opened(before: bigint): Promise<Producer> {
    const end = Date.now() + BUSY_MS;
    for (;;) {
      try {
        return await this.#open(before);
      } catch (error) {
        if (!(error instanceof DvError) || error.code !== 'DV_NOTIFY_BUSY' || Date.now() > end) throw error;
        await delay(BUSY_LOOK_MS);
      }
    }
  }
}

function isLarge({ body }: OutboxMessage): boolean {
  return body.length > LARGE;
}

function asDvError(error: unknown): DvError {
  return error instanceof DvError ? error : relayErrors.unforeseen(error);
}
