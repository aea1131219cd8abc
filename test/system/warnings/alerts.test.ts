import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test, vi } from 'vitest';
import { hurryMinutes } from '../../support/hurry-minutes.ts';
import { notifications } from '../../support/inspect.ts';
import { capturedLog } from '../../support/log.ts';
import { isClosed, startSystem } from '../../support/system.ts';

const SECRET = 'B0SECRET';

interface Alert {
  change: string;
  code: string;
  keyType: string;
  runId: string | null;
  text: string;
}

/** The receiver of a person's alerts: a real HTTP server, which can be switched to fail. */
async function person() {
  const alerts: Alert[] = [];
  const bodies: string[] = [];
  let failing = false;
  let asked = 0;
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      asked += 1;
      bodies.push(body);
      if (!failing) alerts.push(JSON.parse(body) as Alert);
      response.writeHead(failing ? 503 : 200).end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    alerts,
    bodies,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks/${SECRET}`,
    asked: () => asked,
    fail: (now: boolean) => (failing = now),
    /** Waits until an alert has come. */
    gets: async (change: string, code: string, keyType = 'CPF') =>
      vi.waitFor(
        () => {
          const found = alerts.find(
            (alert) => alert.change === change && alert.code === code && alert.keyType === keyType,
          );
          if (found === undefined) throw new Error(`no ${change} ${code} among ${JSON.stringify(alerts)}`);
          return found;
        },
        { timeout: 15_000, interval: 20 },
      ),
  };
}

test('a person gets a failed night, its end, and nothing of whom a key belongs to; the URL stays a secret', async () => {
  hurryMinutes();
  const { alerts, bodies, url, gets } = await person();
  const log = await capturedLog('trace');
  const system = await startSystem({ keysPerType: 3, settings: { ALERT_URL: url }, log: log.log });
  const broken = system.dict.faults.on({ kind: 'problem', status: 500, operation: 'createSyncVerification' });
  const run = await system.verify();
  await system.hurryToRun(run, isClosed);
  const alert = await gets('RAISED', 'VERIFICATION_INCOMPLETE');
  expect(alert).toMatchObject({
    runId: run,
    text: expect.stringContaining(`dict-vsync describe ${run}`) as string,
  });
  broken.off();
  await system.waitForClosed(await system.verify());
  await gets('CLEARED', 'VERIFICATION_INCOMPLETE');
  // Core-Dict receives the same.
  const sent = (await notifications(system.pool)).filter(({ type }) => type.startsWith('warning.'));
  expect(sent.map(({ type, payload }) => [type, payload['code']])).toEqual([
    ['warning.raised', 'VERIFICATION_INCOMPLETE'],
    ['warning.cleared', 'VERIFICATION_INCOMPLETE'],
  ]);
  expect(alerts).toHaveLength(2);
  for (const { key, name, accountNumber, taxIdNumber } of system.entries) {
    for (const personal of [key, name, accountNumber, taxIdNumber])
      expect(bodies.join()).not.toContain(personal);
  }
  await system.stopService();
  expect(log.text()).not.toContain(SECRET);
});

test('an approval that waits for an hour is an alert, and a decision ends it; two workers send one each', async () => {
  hurryMinutes();
  const { alerts, url, gets } = await person();
  const settings = { ALERT_URL: url, MANUAL_APPROVAL_THRESHOLD: '1' };
  const system = await startSystem({ divergent: 6, settings });
  await system.startAnotherService();
  const run = await system.reconcile();
  await system.waitForRun(run, ({ status }) => status === 'WAITING');
  await system.advance('61 minutes');
  expect((await gets('RAISED', 'APPROVAL_WAITING')).runId).toBe(run);
  await system.pool.query(`select dict.reject_reconciliation($1, 'Ana', 'restore first')`, [run]);
  await gets('CLEARED', 'APPROVAL_WAITING');
  expect(alerts.filter(({ code }) => code === 'APPROVAL_WAITING')).toHaveLength(2);
});

test('while the receiver fails Core-Dict gets its messages; what waits is sent when it works again', async () => {
  hurryMinutes();
  const receiver = await person();
  receiver.fail(true);
  const system = await startSystem({ keysPerType: 3, settings: { ALERT_URL: receiver.url } });
  await system.advance('25 hours');
  await expect.poll(receiver.asked, { timeout: 10_000 }).toBeGreaterThan(0);
  await system.waitForClosed(await system.verify());
  const delivered = async () => {
    const { rows } = await system.pool.query<{ type: string }>(
      `select type from dict.notifications where type = 'verification.summary'`,
    );
    return rows.length;
  };
  await expect.poll(delivered, { timeout: 10_000 }).toBe(1);
  expect(receiver.alerts).toEqual([]);
  receiver.fail(false);
  await system.advance('1 minute');
  await receiver.gets('CLEARED', 'NO_FRESH_OK');
  await receiver.gets('RAISED', 'NO_FRESH_OK', 'EVP');
});

test('without ALERT_URL there is no alert, and those that still waited are removed', async () => {
  const system = await startSystem({ keysPerType: 3 });
  await system.stopService();
  await system.pool.query(`select dict.publish('12345678', 'CPF', 'warning.raised', '{}', null, 'ALERT')`);
  await system.restartService();
  expect((await system.pool.query(`select from dict.outbox where destination = 'ALERT'`)).rowCount).toBe(0);
});
