import type { WebSocket } from 'ws';
import { keepSubscribed } from './keep-subscribed.ts';
import {
  AGAIN_MS,
  BATCH,
  errorsOf,
  type ReceivedMessage,
  type Subscription,
  type SubscriptionOptions,
  type Verdict,
} from './subscription.ts';
import { closeSocket, onAnswer, openSocket, topicPath } from '../pulsar/websocket.ts';

/** Messages that the broker may send ahead, beyond the current batch. */
const QUEUE = 500;
const PING_MS = 20_000;

/** A subscription with Pulsar's WebSocket API, which needs no native addon. */
export function subscribeByWebSocket(options: SubscriptionOptions): Subscription {
  return keepSubscribed(options, async (stopping) => {
    if (options.deadLetterTopic !== undefined) await keepDeadLetters(options, options.deadLetterTopic);
    const inbox = new Inbox(stopping);
    const socket = await openSocket(
      options,
      errorsOf(options),
      consumerPath(options, options.topic),
      {
        subscriptionType: 'Key_Shared',
        receiverQueueSize: String(QUEUE),
        negativeAckRedeliveryDelay: String(AGAIN_MS),
      },
      { onOpen: (opening) => inbox.listenTo(opening) },
    );
    try {
      options.onConnection?.(undefined);
      await consume(socket, inbox, options, stopping);
    } finally {
      inbox.close();
      await closeSocket(socket);
    }
  });
}

function consumerPath({ subscription }: SubscriptionOptions, topic: string): string {
  return `consumer/${topicPath(topic)}/${encodeURIComponent(subscription)}`;
}

/** Received messages that are not processed yet. */
class Inbox {
  readonly #waiting: ReceivedMessage[] = [];
  readonly #stopping: AbortSignal;
  #wake = Promise.withResolvers<void>();
  #pings: NodeJS.Timeout | undefined;

  constructor(stopping: AbortSignal) {
    this.#stopping = stopping;
    stopping.addEventListener('abort', this.#wakeUp);
  }

  readonly #wakeUp = (): void => this.#wake.resolve();

  listenTo(socket: WebSocket): void {
    let alive = true;
    onAnswer(socket, ({ messageId, payload, key, redeliveryCount }) => {
      if (typeof messageId !== 'string') return;
      this.#waiting.push({
        id: messageId,
        body: Buffer.from(typeof payload === 'string' ? payload : '', 'base64'),
        key: typeof key === 'string' ? key : '',
        tries: Number(redeliveryCount ?? 0) + 1,
      });
      this.#wakeUp();
    });
    socket.on('close', this.#wakeUp);
    socket.on('pong', () => (alive = true));
    // Detects a dead connection, and keeps an idle one from being closed.
    this.#pings = setInterval(() => {
      if (!alive) socket.terminate();
      else socket.ping();
      alive = false;
    }, PING_MS);
  }

  /** Waits for the next messages. Returns none if it was woken up for another reason. */
  async next(): Promise<ReceivedMessage[]> {
    if (this.#waiting.length === 0) {
      await this.#wake.promise;
      this.#wake = Promise.withResolvers();
    }
    return this.#waiting.splice(0, BATCH);
  }

  close(): void {
    clearInterval(this.#pings);
    this.#stopping.removeEventListener('abort', this.#wakeUp);
  }
}

/** Processes messages until it is stopped. Throws when the socket closes. */
async function consume(
  socket: WebSocket,
  inbox: Inbox,
  options: SubscriptionOptions,
  stopping: AbortSignal,
): Promise<void> {
  while (!stopping.aborted) {
    if (socket.readyState !== socket.OPEN) throw errorsOf(options).unreachable('it closed the connection');
    const batch = await inbox.next();
    if (batch.length === 0) continue;
    const verdicts = await options.take(batch, stopping);
    for (const [place, message] of batch.entries()) {
      await answer(socket, options, message, verdicts[place] ?? 'again');
    }
  }
}

async function answer(
  socket: WebSocket,
  options: SubscriptionOptions,
  message: ReceivedMessage,
  verdict: Verdict,
): Promise<void> {
  let done = verdict === 'ack';
  if (typeof verdict === 'object' && options.deadLetterTopic !== undefined) {
    done = await sendDeadLetter(options, options.deadLetterTopic, message, verdict.deadLetter).then(
      () => true,
      () => false,
    );
  }
  // If the connection is lost, the broker received no answer and delivers the message again.
  if (socket.readyState !== socket.OPEN) return;
  socket.send(JSON.stringify({ type: done ? undefined : 'negativeAcknowledge', messageId: message.id }));
}

/** A topic without a subscription does not keep its messages, so one is made. */
async function keepDeadLetters(options: SubscriptionOptions, topic: string): Promise<void> {
  const parameters = { subscriptionType: 'Shared', pullMode: 'true' };
  await closeSocket(await openSocket(options, errorsOf(options), consumerPath(options, topic), parameters));
}

async function sendDeadLetter(
  options: SubscriptionOptions,
  deadLetterTopic: string,
  message: ReceivedMessage,
  reason: string,
): Promise<void> {
  const answered = Promise.withResolvers<unknown>();
  const onOpen = (opening: WebSocket): void => {
    onAnswer(opening, ({ result }) => answered.resolve(result));
    opening.on('close', () => answered.resolve('closed'));
  };
  const path = `producer/${topicPath(deadLetterTopic)}`;
  const socket = await openSocket(options, errorsOf(options), path, {}, { onOpen });
  socket.send(
    JSON.stringify({
      payload: message.body.toString('base64'),
      properties: { reason, topic: options.topic, messageId: message.id },
      key: message.key === '' ? undefined : message.key,
    }),
  );
  const result = await answered.promise;
  await closeSocket(socket);
  if (result !== 'ok') throw errorsOf(options).unreachable('it did not accept a dead letter');
}
