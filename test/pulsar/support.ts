import { randomUUID } from 'node:crypto';
import { closeSocket, openSocket, topicPath } from '../../src/notify/web-socket.ts';
import type { Broker } from '../support/pulsar/broker.ts';

/** A topic of the test's own. */
export function newTopic(name: string): string {
  return `persistent://public/default/${name}-${randomUUID()}`;
}

/** A message to publish; key: the partition key. */
export interface Published {
  body: string | Buffer;
  key?: string;
}

/** Publishes messages in their order by a bare WebSocket, not by code under test but for the opening of the socket. */
export async function publishAll(
  broker: Broker,
  topic: string,
  messages: readonly Published[],
): Promise<void> {
  const socket = await openSocket(broker.webSocketUrl, ['producer', 'persistent', topicPath(topic)], {
    batchingEnabled: 'false',
  });
  let acknowledged = 0;
  const done = Promise.withResolvers<void>();
  socket.addEventListener('message', ({ data }) => {
    const { result } = JSON.parse(String(data)) as { result: string };
    if (result !== 'ok') done.reject(new Error(`Pulsar answered ${result}`));
    if (++acknowledged === messages.length) done.resolve();
  });
  for (const { body, key } of messages) {
    socket.send(
      JSON.stringify({ payload: Buffer.from(body).toString('base64'), ...(key !== undefined && { key }) }),
    );
  }
  if (messages.length > 0) await done.promise;
  await closeSocket(socket);
}

/** Messages that a subscription has not acknowledged; undefined where there is no such subscription. */
export async function backlog(
  broker: Broker,
  topic: string,
  subscription: string,
): Promise<number | undefined> {
  const answer = await fetch(
    `${broker.adminUrl}/admin/v2/persistent/${topicPath(topic)}/stats?getPreciseBacklog=true`,
  );
  if (!answer.ok) {
    await answer.body?.cancel();
    return undefined;
  }
  const { subscriptions } = (await answer.json()) as {
    subscriptions: Record<string, { msgBacklog: number }>;
  };
  return subscriptions[subscription]?.msgBacklog;
}

/** What waits in a subscription, taken out of it: bodies and properties, `count` of them. */
export async function takeAll(
  broker: Broker,
  topic: string,
  subscription: string,
  count: number,
): Promise<{ body: string; properties: Record<string, string> }[]> {
  const path = ['consumer', 'persistent', topicPath(topic), subscription];
  const socket = await openSocket(broker.webSocketUrl, path, { subscriptionType: 'Shared' });
  const taken: { body: string; properties: Record<string, string> }[] = [];
  const done = Promise.withResolvers<void>();
  socket.addEventListener('message', ({ data }) => {
    const message = JSON.parse(String(data)) as {
      messageId: string;
      payload: string;
      properties: Record<string, string>;
    };
    taken.push({ body: Buffer.from(message.payload, 'base64').toString(), properties: message.properties });
    socket.send(JSON.stringify({ messageId: message.messageId }));
    if (taken.length === count) done.resolve();
  });
  await done.promise;
  await closeSocket(socket);
  return taken;
}
