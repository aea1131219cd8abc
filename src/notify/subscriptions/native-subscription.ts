import type { Client, Consumer, Message } from 'pulsar-client';
import {
  AGAIN_MS,
  BATCH,
  errorsOf,
  type ReceivedMessage,
  type Subscription,
  type SubscriptionOptions,
} from './subscription.ts';
import { keepSubscribed } from './keep-subscribed.ts';
import { byResult, connect, loadClient } from '../transports/pulsar-transport.ts';
import { topicPath } from '../pulsar/websocket.ts';

/** How long a batch waits for more messages. Stopping waits at most this long for an empty batch. */
const LINGER_MS = 50;

/** A subscription with the official client, a native addon. Throws DV_NOTIFY_ADDON_MISSING if it is not installed. */
export function subscribeNatively(options: SubscriptionOptions): Subscription {
  return keepSubscribed(options, async (stopping) => {
    const errors = errorsOf(options);
    const client = connect(await loadClient(errors), options, errors);
    try {
      await consume(client, options, stopping);
    } finally {
      await client.close();
    }
  });
}

async function consume(client: Client, options: SubscriptionOptions, stopping: AbortSignal): Promise<void> {
  const consumer = await open(client, options);
  options.onConnection?.(undefined);
  while (!stopping.aborted) {
    const batch = await consumer.batchReceive();
    if (batch.length === 0) continue;
    const verdicts = await options.take(batch.map(received), stopping);
    for (const [place, message] of batch.entries()) {
      const verdict = verdicts[place] ?? 'again';
      if (typeof verdict === 'object') await sendDeadLetter(client, options, message, verdict.deadLetter);
      if (verdict === 'again') consumer.negativeAcknowledge(message);
      else await consumer.acknowledge(message);
    }
  }
  await consumer.close();
}

function fullName(topic: string): string {
  return decodeURIComponent(topicPath(topic).replace('/', '://'));
}

async function open(client: Client, options: SubscriptionOptions): Promise<Consumer> {
  const { subscription, topic, deadLetterTopic } = options;
  try {
    if (deadLetterTopic !== undefined) {
      // A topic without a subscription does not keep its messages.
      const kept = { topic: fullName(deadLetterTopic), subscription, subscriptionType: 'Shared' } as const;
      await (await client.subscribe(kept)).close();
    }
    return await client.subscribe({
      topic: fullName(topic),
      subscription,
      subscriptionType: 'KeyShared',
      nAckRedeliverTimeoutMs: AGAIN_MS,
      batchReceivePolicy: { maxNumMessages: BATCH, timeoutMs: LINGER_MS },
    });
  } catch (error) {
    throw byResult(error, errorsOf(options));
  }
}

async function sendDeadLetter(
  client: Client,
  { topic, deadLetterTopic }: SubscriptionOptions,
  message: Message,
  reason: string,
): Promise<void> {
  if (deadLetterTopic === undefined) return;
  const producer = await client.createProducer({ topic: fullName(deadLetterTopic) });
  await producer.send({
    data: message.getData(),
    properties: { reason, topic, messageId: message.getMessageId().toString() },
    partitionKey: message.getPartitionKey(),
  });
  await producer.close();
}

function received(message: Message): ReceivedMessage {
  return {
    id: message.getMessageId().toString(),
    body: message.getData(),
    key: message.getPartitionKey(),
    tries: message.getRedeliveryCount() + 1,
  };
}
