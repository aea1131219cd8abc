import { WebSocket } from 'ws';
import { DvError } from '../errors.ts';
import {
  AGAIN_MS,
  BATCH,
  type ReceivedMessage,
  type Subscription,
  type SubscriptionOptions,
  type Verdict,
} from './subscription.ts';
import { keepSubscribed } from './keep-subscribed.ts';
import { closeSocket, openSocket, topicPath } from './web-socket.ts';

/** Messages on their way to us beyond the batch that is worked on. */
const QUEUE = 500;
const PING_MS = 30_000;

/** What Pulsar sends a consumer; without messageId it is the answer to a ping. */
interface Delivered {
  messageId?: string;
  payload?: string;
  key?: string;
  redeliveryCount?: number;
}

/** A subscription by Pulsar's WebSocket API: no native addon. DV_TOPIC_INVALID. */
export function subscribeByWebSocket(options: SubscriptionOptions): Subscription {
  return keepSubscribed(options, async (stopping) => {
    if (options.deadLetterTopic !== undefined) await keepDeadLetters(options, options.deadLetterTopic);
    const socket = await open(options);
    options.onConnection?.(undefined);
    await consumeFrom(socket, options, stopping);
  });
}

async function open({ url, topic, subscription, credentials }: SubscriptionOptions): Promise<WebSocket> {
  return openSocket(
    url,
    ['consumer', 'persistent', topicPath(topic), encodeURIComponent(subscription)],
    {
      subscriptionType: 'Key_Shared',
      receiverQueueSize: String(QUEUE),
      negativeAckRedeliveryDelay: String(AGAIN_MS),
    },
    credentials,
  );
}

/** Works until the socket closes (throws) or it is stopped. */
async function consumeFrom(
  socket: WebSocket,
  options: SubscriptionOptions,
  stopping: AbortSignal,
): Promise<void> {
  const waiting: ReceivedMessage[] = [];
  let wake = Promise.withResolvers<void>();
  const rouse = () => wake.resolve();
  let heard = true;
  socket.addEventListener('message', ({ data }) => {
    heard = true;
    const message = received(data);
    if (message !== undefined) waiting.push(message);
    rouse();
  });
  socket.addEventListener('close', rouse);
  stopping.addEventListener('abort', rouse);
  // Keeps a quiet connection from being closed as idle, and notices one whose other end is gone.
  const pings = setInterval(() => {
    if (!heard) socket.close();
    heard = false;
    socket.send(JSON.stringify({ type: 'isEndOfTopic' }));
  }, PING_MS);
  try {
    while (!stopping.aborted) {
      if (socket.readyState !== WebSocket.OPEN) {
        throw new DvError('DV_PULSAR_UNREACHABLE', 'Pulsar closed the connection.', { class: 'retryable' });
      }
      const batch = waiting.splice(0, BATCH);
      if (batch.length === 0) {
        await wake.promise;
        wake = Promise.withResolvers();
        continue;
      }
      const verdicts = await options.take(batch, stopping);
      for (const [place, message] of batch.entries()) {
        await answer(socket, options, message, verdicts[place] ?? 'again');
      }
    }
  } catch (error) {
    // Stopped while it worked: what it had comes again.
    if (!stopping.aborted) throw error;
  } finally {
    clearInterval(pings);
    stopping.removeEventListener('abort', rouse);
    await closeSocket(socket);
  }
}

function received(data: unknown): ReceivedMessage | undefined {
  const { messageId, payload = '', key = '', redeliveryCount = 0 } = JSON.parse(String(data)) as Delivered;
  if (messageId === undefined) return undefined;
  return { id: messageId, body: Buffer.from(payload, 'base64'), key, tries: redeliveryCount + 1 };
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
  // A connection that is gone has told nobody: the message comes again.
  if (socket.readyState !== WebSocket.OPEN) return;
  socket.send(JSON.stringify({ ...(!done && { type: 'negativeAcknowledge' }), messageId: message.id }));
}

/** A topic without a subscription forgets its messages. */
async function keepDeadLetters(
  { url, subscription, credentials }: SubscriptionOptions,
  topic: string,
): Promise<void> {
  const path = ['consumer', 'persistent', topicPath(topic), encodeURIComponent(subscription)];
  await closeSocket(
    await openSocket(url, path, { subscriptionType: 'Shared', pullMode: 'true' }, credentials),
  );
}

async function sendDeadLetter(
  { url, topic, credentials }: SubscriptionOptions,
  deadLetterTopic: string,
  message: ReceivedMessage,
  reason: string,
): Promise<void> {
  const socket = await openSocket(
    url,
    ['producer', 'persistent', topicPath(deadLetterTopic)],
    {},
    credentials,
  );
  const answered = Promise.withResolvers<string>();
  socket.addEventListener('message', ({ data }) =>
    answered.resolve((JSON.parse(String(data)) as { result: string }).result),
  );
  socket.addEventListener('close', () => answered.resolve('closed'));
  socket.send(
    JSON.stringify({
      payload: message.body.toString('base64'),
      properties: { reason, topic, messageId: message.id },
      ...(message.key !== '' && { key: message.key }),
    }),
  );
  const result = await answered.promise;
  await closeSocket(socket);
  if (result !== 'ok')
    throw new DvError('DV_PULSAR_REFUSED', 'Pulsar did not take the dead letter.', { class: 'retryable' });
}
