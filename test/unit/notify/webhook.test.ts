import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import {
  alertBody,
  type AlertOptions,
  listUndelivered,
  relayOutbox,
  retryDead,
  webhookTransport,
} from '../../../src/notify/index.ts';
import { useTestDatabase } from '../../support/database.ts';
import { capturedLog } from '../../support/log.ts';
import { emptyOutbox, ISPB, keepingTransport, outbox, passBackoff, publishOne } from './support.ts';

const database = useTestDatabase();
const SECRET = 'T0000SECRET';
const AT = '2026-11-27T06:00:00.000Z';

beforeEach(async () => emptyOutbox(database.pool));

type Answer = (response: ServerResponse, request: IncomingMessage) => void;
const OK: Answer = (response) => response.writeHead(204).end();
const status = (code: number, headers = {}): Answer => {
  return (response) => response.writeHead(code, headers).end('why');
};

/** A real HTTP server that keeps what it received, and answers as the list says; afterwards 204. */
async function receiver(...answers: Answer[]) {
  const got: { path: string | undefined; type: string | undefined; body: Record<string, unknown> }[] = [];
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      const { url: path, headers, method } = request;
      got.push({
        path,
        type: `${method} ${headers['content-type']}`,
        body: JSON.parse(body || '{}') as never,
      });
      (answers.shift() ?? OK)(response, request);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const stop = async () => {
    server.closeAllConnections();
    if (server.listening) {
      server.close();
      await once(server, 'close');
    }
  };
  onTestFinished(stop);
  const { port } = server.address() as AddressInfo;
  return { got, url: `http://127.0.0.1:${port}/services/${SECRET}?key=${SECRET}`, port, stop };
}

async function publishAlert(content: Record<string, unknown> = {}, type = 'warning.raised', keyType = 'CPF') {
  const facts = { code: 'NO_FRESH_OK', since: AT, lastOkAt: AT, count: null, runId: null, errorCode: null };
  await database.pool.query('select dict.publish($1, $2, $3, $4, null, $5)', [
    ISPB,
    keyType,
    type,
    { ...facts, deadlineAt: '2026-11-28T18:00:00.000Z', ...content },
    'ALERT',
  ]);
}

const log = await capturedLog('trace');
const relay = async (url: string, options: AlertOptions = { format: 'json' }, answerMs?: number) =>
  relayOutbox(database.pool, webhookTransport(url, { answerMs }), {
    destination: 'ALERT',
    body: (row) => alertBody(row, options),
    log: log.log,
  });
const undelivered = async () => (await listUndelivered(database.pool, { limit: 10 })).messages;

describe('the body', () => {
  test('json has the facts, a severity, and sentences that say which command to run', async () => {
    const { got, url } = await receiver();
    await publishAlert();
    expect(await relay(url)).toBe(1);
    const [row] = await outbox(database.pool);
    expect(got).toEqual([
      {
        path: `/services/${SECRET}?key=${SECRET}`,
        type: 'POST application/json',
        body: {
          ...{ id: row?.id, time: expect.any(String) as string, change: 'RAISED', severity: 'warning' },
          ...{ participant: ISPB, keyType: 'CPF', code: 'NO_FRESH_OK', since: AT, lastOkAt: AT },
          ...{ count: null, runId: null, errorCode: null, deadlineAt: '2026-11-28T18:00:00.000Z' },
          text:
            `${ISPB} CPF NO_FRESH_OK: There is no fresh OK; the last OK was at ${AT}. ` +
            'The next OK must arrive by 2026-11-28T18:00:00.000Z. Run `dict-vsync list` to see how the last runs ended. ' +
            'When the cause has been removed, run `dict-vsync start verification`.',
        },
      },
    ]);
  });

  test('Slack gets its text, when a warning is raised and when it is cleared', async () => {
    const { got, url } = await receiver();
    await publishAlert({ code: 'KEYS_HELD', count: 1500, deadlineAt: null });
    await publishAlert({ code: 'KEYS_HELD' }, 'warning.cleared');
    expect(await relay(url, { format: 'slack' })).toBe(2);
    expect(got.map(({ body }) => body)).toEqual([
      {
        text: expect.stringMatching(
          /^12345678 CPF KEYS_HELD: 1,500 keys are held since .* `dict-vsync release`/,
        ) as string,
      },
      { text: `Ended: 12345678 CPF KEYS_HELD, which had begun at ${AT}.` },
    ]);
  });

  test('PagerDuty gets a trigger and a resolve of one incident', async () => {
    const { got, url } = await receiver(status(202), status(202));
    await publishAlert({ code: 'DEADLINE_MISSED' });
    await publishAlert({ code: 'DEADLINE_MISSED' }, 'warning.cleared');
    expect(await relay(url, { format: 'pagerduty', routingKey: 'R0UTINGKEY' })).toBe(2);
    const same = { routing_key: 'R0UTINGKEY', dedup_key: `dict-vsync/${ISPB}/CPF/DEADLINE_MISSED` };
    expect(got.map(({ body }) => body)).toEqual([
      {
        ...same,
        event_action: 'trigger',
        payload: {
          summary: expect.stringContaining("DICT's OK was due at") as string,
          source: `dict-vsync ${ISPB}`,
          severity: 'critical',
          timestamp: expect.any(String) as string,
          component: 'CPF',
          class: 'DEADLINE_MISSED',
          custom_details: expect.objectContaining({ code: 'DEADLINE_MISSED', since: AT }) as object,
        },
      },
      { ...same, event_action: 'resolve' },
    ]);
  });
});

describe('delivery', () => {
  test.each([500, 503, 429, 408])(
    'HTTP %d: the alert is sent again, with its id and before those behind it',
    async (code) => {
      const { got, url } = await receiver(status(code));
      await publishAlert();
      await publishAlert({}, 'warning.cleared');
      expect(await relay(url)).toBe(0);
      expect(await undelivered()).toMatchObject([
        { destination: 'ALERT', state: 'WAITING', attempts: 1, errorCode: 'DV_ALERT_UNREACHABLE' },
        { attempts: 0 },
      ]);
      expect(await relay(url)).toBe(0);
      await passBackoff(database.pool);
      expect(await relay(url)).toBe(2);
      expect(got.map(({ body }) => body['change'])).toEqual(['RAISED', 'RAISED', 'CLEARED']);
      expect(got[0]?.body['id']).toBe(got[1]?.body['id']);
    },
  );

  test('no connection: the alert waits until there is one', async () => {
    const gone = await receiver();
    await gone.stop();
    await publishAlert();
    expect(await relay(gone.url)).toBe(0);
    expect(await undelivered()).toMatchObject([{ state: 'WAITING', errorCode: 'DV_ALERT_UNREACHABLE' }]);
    await passBackoff(database.pool);
    const { got, url } = await receiver();
    expect(await relay(url)).toBe(1);
    expect(got).toHaveLength(1);
  });

  test.each<[string, Answer]>([
    ['does not answer', () => undefined],
    ['never ends its answer', (response) => void response.writeHead(500).write('x')],
  ])('a server that %s keeps an alert only for its time limit', async (_what, hang) => {
    const silent = await receiver(hang);
    await publishAlert();
    expect(await relay(silent.url, { format: 'json' }, 100)).toBe(0);
    expect(await undelivered()).toMatchObject([{ state: 'WAITING', errorCode: 'DV_ALERT_UNREACHABLE' }]);
  });

  test('an answer 200 with an endless body is a delivery: the body is never read', async () => {
    let written = 0;
    const { url } = await receiver((response) => {
      response.writeHead(200);
      const more = () => {
        while (!response.destroyed && written < 1e9 && response.write('x'.repeat(65_536))) written += 65_536;
      };
      response.on('drain', more);
      more();
    });
    await publishAlert();
    expect(await relay(url)).toBe(1);
    expect(written).toBeLessThan(1e8);
  });

  test.each([
    [400, {}],
    [403, {}],
    [404, {}],
    [301, { location: 'SELF' }],
    [307, { location: 'SELF' }],
  ])('HTTP %d: the alert is dead after three tries, and can be sent again', async (code, headers) => {
    const other = await receiver();
    const location = 'location' in headers ? { location: other.url } : {};
    const { got, url } = await receiver(...[1, 2, 3].map(() => status(code, location)));
    await publishAlert();
    await publishAlert({}, 'warning.cleared');
    for (let n = 0; n < 3; n++) {
      await relay(url);
      await passBackoff(database.pool);
    }
    // The one behind it is delivered.
    expect(got.map(({ body }) => body['change'])).toEqual(['RAISED', 'RAISED', 'RAISED', 'CLEARED']);
    expect(other.got).toEqual([]);
    const [dead, ...more] = await undelivered();
    expect([dead, more]).toMatchObject([
      { state: 'DEAD', errorCode: 'DV_ALERT_REFUSED', destination: 'ALERT' },
      [],
    ]);
    expect(await retryDead(database.pool, [dead!.id])).toBe(1);
    expect(await relay(url)).toBe(1);
  });

  test('Core-Dict does not wait for a person, nor a person for Core-Dict', async () => {
    const down = await receiver(...Array.from({ length: 9 }, () => status(500)));
    const { transport, got } = keepingTransport();
    await publishAlert({}, 'warning.raised', 'EMAIL');
    await publishOne(database.pool);
    expect(await relay(down.url)).toBe(0);
    expect(await relayOutbox(database.pool, transport)).toBe(1);
    expect(got.map(({ type }) => type)).toEqual(['reconciliation.changes']);

    await publishOne(database.pool);
    const failing = keepingTransport(() => {
      throw new Error('down');
    });
    expect(await relayOutbox(database.pool, failing.transport)).toBe(0);
    await database.pool.query(
      "update dict.outbox_backoffs set retry_at = workflow.now() where destination = 'ALERT'",
    );
    const up = await receiver();
    expect(await relay(up.url)).toBe(1);
    // Each destination has a sequence of its own.
    expect(new Set((await outbox(database.pool)).map(({ sequence }) => sequence))).toEqual(new Set([1, 2]));
  });

  test('while a receiver hangs, Core-Dict gets its messages of the same participant and key type', async () => {
    const received = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const slow = await receiver((response, request) => {
      received.resolve();
      void release.promise.then(() => OK(response, request));
    });
    await publishAlert({}, 'warning.raised', 'EMAIL');
    const sending = relay(slow.url);
    await received.promise;
    await publishOne(database.pool);
    expect(await relayOutbox(database.pool, keepingTransport().transport)).toBe(1);
    release.resolve();
    expect(await sending).toBe(1);
  });
});

test('neither the log nor the outbox ever showed the URL', async () => {
  const { url, port } = await receiver(status(400), status(500), status(302, { location: 'http://x/' }));
  await publishAlert();
  for (let n = 0; n < 3; n++) {
    await relay(url, { format: 'pagerduty', routingKey: SECRET });
    await passBackoff(database.pool);
  }
  expect(log.lines().length).toBeGreaterThan(5);
  expect(log.text()).not.toContain(SECRET);
  expect(log.text()).not.toContain(`${port}`);
  expect(JSON.stringify(await undelivered())).not.toContain(SECRET);
});
