import { randomBytes } from 'node:crypto';
import { WebSocket } from 'ws';
import type { Broker } from './start-pulsar.ts';

/** A message as a consumer receives it. */
export interface Received {
  body: string;
  key: string;
  properties: Record<string, string>;
  eventTime: string;
}

/** A namespace of its own on a broker, with deduplication on. */
export interface Namespace {
  /** `public/name` */
  name: string;
  /** The full name of one of its topics. */
  topic(name: string): string;
  /** How many messages a topic has. */
  count(topic: string): Promise<number>;
  /** All messages of a topic, from the first on. */
  read(topic: string): Promise<Received[]>;
  admin(method: string, path: string, body?: unknown): Promise<Response>;
  remove(): Promise<void>;
}

/** Makes a namespace that keeps messages that nobody reads. */
export async function createNamespace(
  broker: Broker,
  name = `public/dv-${randomBytes(5).toString('hex')}`,
): Promise<Namespace> {
  const headers = { ...(broker.token !== undefined && { authorization: `Bearer ${broker.token}` }) };
  const admin: Namespace['admin'] = async (method, path, body) => {
    const answer = await fetch(`${broker.adminUrl}/admin/v2/${path}`, {
      method,
      headers: { ...headers, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    if (answer.ok || answer.status === 404) return answer;
    throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  };
  await admin('PUT', `namespaces/${name}`, {});
  await admin('POST', `namespaces/${name}/deduplication`, true);
  await admin('POST', `namespaces/${name}/retention`, { retentionTimeInMinutes: -1, retentionSizeInMB: -1 });
  const path = (topic: string) => topic.replace('://', '/');
  const count = async (topic: string): Promise<number> => {
    const answer = await admin('GET', `${path(topic)}/internalStats`);
    if (answer.status === 404) return 0;
    return ((await answer.json()) as { numberOfEntries: number }).numberOfEntries;
  };
  return {
    name,
    topic: (topic) => `persistent://${name}/${topic}`,
    count,
    async read(topic) {
      const entries = await count(topic);
      return entries === 0 ? [] : receive(broker, headers, topic, entries);
    },
    admin,
    async remove() {
      const topics = (await (await admin('GET', `persistent/${name}`)).json()) as string[];
      for (const topic of topics) await admin('DELETE', `${path(topic)}?force=true`);
      await admin('DELETE', `namespaces/${name}`);
    },
  };
}

/** A real consumer: Pulsar's WebSocket reader, from the first message on. */
async function receive(
  broker: Broker,
  headers: Record<string, string>,
  topic: string,
  count: number,
): Promise<Received[]> {
  const url = `${broker.webSocketUrl}/ws/v2/reader/${topic.replace('://', '/')}?messageId=earliest`;
  const socket = new WebSocket(url, { headers });
  const received: Received[] = [];
  try {
    await new Promise<void>((resolve, reject) => {
      socket.on('error', reject);
      socket.on('close', (code) => reject(new Error(`the reader was closed: ${code}`)));
      socket.on('message', (data: Buffer) => {
        const { messageId, payload, key, properties, eventTime } = JSON.parse(data.toString()) as {
          messageId: string;
          payload: string;
        } & Received;
        received.push({ body: Buffer.from(payload, 'base64').toString(), key, properties, eventTime });
        socket.send(JSON.stringify({ messageId }));
        if (received.length === count) resolve();
      });
    });
    return received;
  } finally {
    socket.terminate();
  }
}
