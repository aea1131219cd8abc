import { once } from 'node:events';
import { connect } from 'node:net';
import { Gauge, Registry } from 'prom-client';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { RunningWorker } from '../../../src/engine/index.ts';
import { createHealth } from '../../../src/http/health.ts';
import { createMetrics } from '../../../src/http/metrics.ts';
import { type HttpServer, startHttp } from '../../../src/http/server.ts';
import { useTestDatabase } from '../../support/database.ts';
import { startIdleWorker } from './idle-worker.ts';

const database = useTestDatabase();
const servers: HttpServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map(async (server) => server.stop()));
});

let worker: RunningWorker;
beforeAll(async () => {
  worker = await startIdleWorker(database.pool);
});
afterAll(async () => worker.stop());

async function start(metrics = createMetrics(database.pool).registry, port = 0) {
  const health = createHealth({ pool: database.pool, worker });
  const server = await startHttp({ host: '127.0.0.1', port, health, metrics });
  servers.push(server);
  return { ...server, health };
}

test('/livez is 200 while the process serves, whatever the readiness', async () => {
  const { address, health } = await start();
  health.stopping();
  const response = await fetch(`${address}/livez`);
  expect([response.status, await response.text()]).toEqual([200, 'ok\n']);
});

test('/readyz is 200, and 503 with the reasons as JSON', async () => {
  const { address, health } = await start();
  const ready = await fetch(`${address}/readyz?probe=1`);
  expect([ready.status, await ready.json()]).toEqual([200, { ready: true, reasons: [], warnings: [] }]);
  expect(ready.headers.get('content-type')).toBe('application/json');
  health.stopping();
  const not = await fetch(`${address}/readyz`);
  expect(not.status).toBe(503);
  expect(await not.json()).toMatchObject({ ready: false, reasons: [{ reason: 'worker_stopping' }] });
});

test('/metrics is Prometheus text', async () => {
  const { address } = await start();
  const response = await fetch(`${address}/metrics`);
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toContain('text/plain; version=0.0.4');
  const text = await response.text();
  expect(text).toContain('dict_vsync_database_up 1');
  expect(text).toContain('process_cpu_seconds_total');
});

test('other paths are 404, other methods 405', async () => {
  const { address } = await start();
  const status = async (path: string, method: string) =>
    (await fetch(`${address}${path}`, { method })).status;
  expect(await status('/', 'GET')).toBe(404);
  expect(await status('/livez/', 'GET')).toBe(404);
  expect(await status('/constructor', 'GET')).toBe(404);
  expect(await status('/nothing', 'POST')).toBe(404);
  for (const method of ['POST', 'PUT', 'DELETE', 'HEAD']) expect(await status('/readyz', method)).toBe(405);
  const refused = await fetch(`${address}/metrics`, { method: 'POST' });
  expect(refused.headers.get('allow')).toBe('GET');
});

test('a metric that fails is a 500 without its error', async () => {
  const registry = new Registry();
  const broken = new Gauge({
    name: 'broken',
    help: 'fails',
    collect() {
      throw new Error('secret');
    },
    registers: [],
  });
  registry.registerMetric(broken);
  const { address } = await start(registry);
  const response = await fetch(`${address}/metrics`);
  expect([response.status, await response.text()]).toEqual([500, 'failed\n']);
});

test('an occupied port is a usage error that says what to do', async () => {
  const { address } = await start();
  const taken = start(undefined, Number(new URL(address).port));
  await expect(taken).rejects.toMatchObject({
    code: 'DV_HTTP_PORT',
    exit: 2,
    message: expect.stringMatching(/another program uses it.*HTTP_PORT/) as string,
  });
});

test('it stops although somebody is connected and silent, or never ends a request, and then accepts nothing more', async () => {
  const { address, stop } = await start();
  const port = Number(new URL(address).port);
  const silent = connect(port, '127.0.0.1').resume();
  const slow = connect(port, '127.0.0.1').resume();
  const hungUp = Promise.all([once(silent, 'close'), once(slow, 'close')]);
  slow.write('GET /livez HTTP/1.1\r\nhost: x\r\n');
  await Promise.all([once(silent, 'connect'), once(slow, 'connect')]);
  await (await fetch(`${address}/livez`)).text();
  const began = performance.now();
  await stop();
  await hungUp;
  expect(performance.now() - began).toBeLessThan(3000);
  await expect(fetch(`${address}/livez`)).rejects.toThrow();
  await stop();
});
