import { setTimeout as delay } from 'node:timers/promises';
import type { Transaction } from '../../engine/index.ts';
import { DvError } from '../../errors/dv-error.ts';
import { relayErrors } from '../pulsar/pulsar-errors.ts';
import type { Delivery, OutboxMessage, Transport } from './transport.ts';
import { one } from '../../errors/rows.ts';

/** What a producer of one stream is opened with. */
export interface Opening {
  participant: string;
  keyType: string;
  /** The same for a stream whoever relays it: by name and sequence the broker tells what it has already. */
  producerName: string;
  /** The sequence before that of the first message to send. */
  before: bigint;
}

/** A connection that sends the messages of one stream, whose sequences follow each other. */
export interface Producer {
  /** Sends a message after those sent before; answers when the broker has it for good. Throws a DvError. */
  send(message: OutboxMessage): Promise<void>;
  /** Ends it: what was sent and not answered fails. */
  close(): Promise<void>;
}

/** Opens a producer. Throws a DvError; DV_NOTIFY_BUSY when one of that name is open elsewhere. */
export type OpenProducer = (opening: Opening) => Promise<Producer>;

/** Sent and not yet answered, at most. */
export const WINDOW = 100;

/**
 * Larger ones (in UTF-16 units) travel alone: a broker may refuse them for their size, and must not have got a later one
 * then, whose sequence would make it drop this one for a repetition once the limit is raised.
 */
const LARGE = 128 * 1024;

/** A producer is closed this soon after its last message: another worker may relay the stream next. */
const IDLE_MS = 250;

/** How long to wait for another worker's idle producer, and how often to look. */
const BUSY_MS = 3000;
const BUSY_LOOK_MS = 50;

/**
 * A transport through a broker that remembers the last sequence of each producer name (Pulsar's de-duplication): one
 * producer a stream, opened when needed, so that a message sent again after a crash is dropped by the broker.
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
 * What tells this database from each other one, its copies, and itself made anew: a producer name must not outlive the
 * sequences that go with it.
 */
async function databaseName(tx: Transaction): Promise<string> {
  const { rows } = await tx.query<{ name: string }>(
    `select to_hex((extract(epoch from min(applied_at)) * 1000)::bigint) || '-' ||
       (select oid from pg_database where datname = current_database()) as name
     from workflow.migrations_applied`,
  );
  return one(rows).name;
}

/** The producer of one stream, while it is open; one delivery at a time. */
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
    let hungUpOn: OutboxMessage | undefined;
    while (delivered < messages.length) {
      const sent = await this.#sendSome(messages.slice(delivered), window);
      delivered += sent.delivered;
      if (sent.error === undefined) continue;
      await this.#shut().catch(() => undefined);
      const failed = messages[delivered]!;
      const hungUp = sent.error.code === 'DV_NOTIFY_AWAY' && sent.inFlight === 1 && isLarge(failed);
      // Which of them was too large, the broker does not say when it hangs up: one by one it shows.
      if (sent.error.class === 'not_retryable' && sent.inFlight > 1) window = 1;
      // Its reason is lost when it hangs up while we write; that it does so on this message only, is one.
      else if (hungUp && hungUpOn !== failed) hungUpOn = failed;
      else return { delivered, error: hungUp ? relayErrors.tooLarge(sent.error) : sent.error };
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
    const settle = async (to: number): Promise<void> => {
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
        await settle(large ? 0 : window - 1);
        if (error !== undefined) break;
        open.next++;
        pending.push(open.producer.send(message).then(() => undefined, asDvError));
        if (large) await settle(0);
      }
      await settle(0);
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
