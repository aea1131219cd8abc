import { relayErrors } from '../../../src/notify/pulsar/pulsar-errors.ts';
import { closeSocket, openSocket, topicPath } from '../../../src/notify/pulsar/websocket.ts';
import type { Broker } from '../../support/pulsar/start-pulsar.ts';

/** A message to publish; `key` is the partition key. */
export interface Published {
  body: string | Buffer;
  key?: string;
}

/** How to reach a broker's WebSocket API. */
export function byWebSocket(broker: Broker, topic: string): { url: string; topic: string; token?: string } {
  return { url: broker.webSocketUrl, topic, ...(broker.token !== undefined && { token: broker.token }) };
}

/** Publishes messages in their order, each acknowledged. */
export async function publishAll(
  broker: Broker,
  topic: string,
  messages: readonly Published[],
): Promise<void> {
  let acknowledged = 0;
  const done = Promise.withResolvers<void>();
  const path = `producer/${topicPath(topic)}`;
  const socket = await openSocket(
    byWebSocket(broker, topic),
    relayErrors,
    path,
    { batchingEnabled: 'false' },
    {
      onOpen: (opening) => {
        opening.on('message', (data: Buffer) => {
          const { result } = JSON.parse(data.toString()) as { result: string };
          if (result !== 'ok') done.reject(new Error(`Pulsar answered ${result}`));
          if (++acknowledged === messages.length) done.resolve();
        });
      },
    },
  );
  for (const { body, key } of messages) {
    const payload = Buffer.from(body).toString('base64');
    socket.send(JSON.stringify({ payload, ...(key !== undefined && { key }) }));
  }
  await done.promise;
  await closeSocket(socket);
}

/** The number of messages that a subscription has not acknowledged; undefined where the subscription does not exist. */
export async function backlog(
  broker: Broker,
  topic: string,
  subscription: string,
): Promise<number | undefined> {
  const headers = { ...(broker.token !== undefined && { authorization: `Bearer ${broker.token}` }) };
  const url = `${broker.adminUrl}/admin/v2/${topicPath(topic)}/stats?getPreciseBacklog=true`;
  const answer = await fetch(url, { headers });
  const text = await answer.text();
  if (answer.status === 404) return undefined;
  const { subscriptions } = JSON.parse(text) as { subscriptions: Record<string, { msgBacklog: number }> };
  return subscriptions[subscription]?.msgBacklog;
}
