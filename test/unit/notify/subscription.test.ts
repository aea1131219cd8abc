import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { subscribe, type SubscriptionOptions } from '../../../src/notify/index.ts';

/** A broker of bare sockets, for what a real one does only rarely. Refuses with HTTP `status` as long as it is set. */
async function badDay(onConnection: (socket: WebSocket, request: IncomingMessage, nth: number) => void) {
  const state: { status?: number; connections: number } = { connections: 0 };
  const http = createServer();
  const sockets = new WebSocketServer({ noServer: true });
  http.on('upgrade', (request, socket, head) => {
    if (state.status !== undefined) {
      socket.end(`HTTP/1.1 ${state.status} No\r\nConnection: close\r\n\r\n`);
      return;
    }
    sockets.handleUpgrade(request, socket, head, (opened) =>
      onConnection(opened, request, ++state.connections),
    );
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  onTestFinished(() => {
    for (const socket of sockets.clients) socket.terminate();
    http.close();
  });
  return { state, url: `ws://127.0.0.1:${(http.address() as AddressInfo).port}/proxy` };
}

const delivered = (n: number, tries = 0) =>
  JSON.stringify({
    messageId: `id ${n}`,
    payload: Buffer.from(`body ${n}`).toString('base64'),
    redeliveryCount: tries,
  });

async function receive(options: Partial<SubscriptionOptions> & { url: string }) {
  const problems: (string | undefined)[] = [];
  const subscription = await subscribe({
    settingsPrefix: 'KEY_EVENTS',
    topic: 'persistent://bank/dict/keys',
    subscription: 'a worker',
    take: async (messages) => messages.map(() => 'ack'),
    onConnection: (problem) => problems.push(problem),
    ...options,
  });
  onTestFinished(() => subscription.close());
  return { problems, subscription };
}

test('a message that is not JSON ends the connection, not the process; a message sent with the handshake is not lost', async () => {
  const said: string[] = [];
  const urls: string[] = [];
  const { url } = await badDay((socket, request, nth) => {
    urls.push(request.url ?? '');
    socket.on('message', (data: Buffer) => said.push(data.toString()));
    socket.send(nth === 1 ? 'nonsense' : delivered(nth));
  });
  const { problems } = await receive({ url, token: 'a token' });
  await expect.poll(() => said).toEqual([JSON.stringify({ messageId: 'id 2' })]);
  expect(problems).toEqual([undefined, 'DV_NOTIFY_AWAY', undefined]);
  const asked = new URL(urls[1]!, url);
  expect(asked.pathname).toBe('/proxy/ws/v2/consumer/persistent/bank/dict/keys/a%20worker');
  expect(asked.searchParams.get('subscriptionType')).toBe('Key_Shared');
});

test('a broker that refuses us, or is unreachable, is tried until it is there', async () => {
  const { url, state } = await badDay(() => undefined);
  state.status = 401;
  const { problems } = await receive({ url });
  await expect.poll(() => problems).toContain('DV_NOTIFY_UNAUTHORIZED');
  delete state.status;
  await expect.poll(() => problems.at(-1)).toBeUndefined();
});

test('a message to redeliver is reported as such, batches don’t overlap, and closing waits for the one in progress', async () => {
  const said: string[] = [];
  const { url } = await badDay((socket) => {
    socket.on('message', (data: Buffer) => said.push(data.toString()));
    for (let n = 1; n <= 250; n++) socket.send(delivered(n, n === 7 ? 4 : 0));
  });
  let under = 0;
  const sizes: number[] = [];
  const began = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const { subscription } = await receive({
    url,
    take: async (messages) => {
      expect(++under).toBe(1);
      sizes.push(messages.length);
      began.resolve();
      await go.promise;
      under--;
      return messages.map(({ tries }) => (tries === 5 ? 'again' : 'ack'));
    },
  });
  await began.promise;
  const closed = subscription.close();
  go.resolve();
  await closed;
  expect(sizes).toHaveLength(1);
  await expect.poll(() => said.length).toBe(sizes[0]);
  if (sizes[0]! >= 7)
    expect(said[6]).toBe(JSON.stringify({ type: 'negativeAcknowledge', messageId: 'id 7' }));
  expect(sizes[0]).toBeLessThanOrEqual(100);
});

test.each(['a/b', 'persistent://a//c', 'http://a/b/c', ''])('topic %j is refused', async (topic) => {
  await expect(receive({ url: 'ws://127.0.0.1:1', topic })).rejects.toMatchObject({
    code: 'DV_TOPIC_INVALID',
  });
});
