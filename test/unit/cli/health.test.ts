import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { expect, onTestFinished, test } from 'vitest';
import { createHealth, createMetrics, startHttp } from '../../../src/http/index.ts';
import { startIdleWorker } from '../http/idle-worker.ts';
import { useTestDatabase } from '../../support/database.ts';
import { cli, expectRefusal } from './support.ts';

const database = useTestDatabase();

/** A worker that serves its health on a free port of this address. */
async function serve(host: string) {
  const worker = await startIdleWorker(database.pool);
  onTestFinished(async () => worker.stop());
  const health = createHealth({ pool: database.pool, worker });
  const server = await startHttp({ host, port: 0, health, metrics: createMetrics(database.pool).registry });
  onTestFinished(async () => server.stop());
  return { health, port: new URL(server.address).port };
}

const addresses = Object.values(networkInterfaces()).flatMap((all = []) => all.map(({ address }) => address));

test.for(['127.0.0.1', '0.0.0.0', '::1', '::'])(
  'it asks the worker that listens on %s',
  async (host, { skip }) => {
    skip(host.includes(':') && !addresses.includes('::1'), 'this machine has no IPv6');
    const { health, port } = await serve(host);
    const env = { HTTP_HOST: host, HTTP_PORT: port };
    const ready = await cli(['health', '--json'], { env });
    expect([ready.exitCode, ready.json()]).toEqual([0, { ready: true, reasons: [], warnings: [] }]);
    expect(await cli(['health'], { env })).toMatchObject({ exitCode: 0, stdout: 'Ready.\n' });

    health.stopping();
    const not = await cli(['health', '--json'], { env });
    expect(not.exitCode).toBe(1);
    expect(not.json()).toMatchObject({ ready: false, reasons: [{ reason: 'worker_stopping' }] });
    expect(await cli(['health'], { env })).toMatchObject({
      exitCode: 1,
      stdout: expect.stringContaining('stopping') as string,
    });
  },
);

test('no answer, or the answer of another program, means not ready', async () => {
  const other = createServer((_, response) => response.end('{"ready":"yes"}')).listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  const env = { HTTP_PORT: String(port) };
  const wrong = await cli(['health', '--json'], { env });
  expect(wrong).toMatchObject({ exitCode: 1 });
  expect(wrong.json()).toMatchObject({ ready: false, reasons: [{ reason: 'no_answer' }] });
  other.close();
  await once(other, 'close');
  const none = await cli(['health'], { env });
  expect(none).toMatchObject({ exitCode: 1, stdout: expect.stringContaining('No worker answers') as string });
});

test('a port that only the worker knows is wrong usage', async () => {
  expectRefusal(await cli(['health'], { env: { HTTP_PORT: '0' } }), 2, 'DV_USAGE');
});
