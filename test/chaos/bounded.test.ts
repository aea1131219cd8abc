import { afterAll, beforeAll, expect, test } from 'vitest';
import { Bank } from './bank.ts';
import { breakAt } from './modes.ts';
import { crashPoints } from './points.ts';

/** What of `npm run test:chaos` every change has to pass: each crash point once, and each kind of break once. */
let bank: Bank;
beforeAll(async () => {
  bank = await Bank.open();
});
afterAll(async () => bank.close());

const points = crashPoints();
/** A step in which two workers died survives; the third would have it put aside. */
const pairs = Array.from({ length: Math.ceil(points.length / 2) }, (_, n) => points.slice(2 * n, 2 * n + 2));

test('the crash points are found', () => {
  expect(points).toContain('after-effect-before-commit');
  expect(points).toContain('relay-between-send-and-mark');
  expect(points.length).toBeGreaterThan(15);
});

test(
  'a worker killed at any crash point leaves nothing behind that is lost or done twice',
  { timeout: 120_000 },
  async () => {
    for (const pair of pairs) {
      for (const point of pair) {
        await bank.workload();
        bank.breaks += 1;
        const worker = bank.worker(`kill:${point}`);
        await worker.reached(point);
        expect(await worker.gone()).toBe('SIGKILL');
        await bank.expireLeases();
      }
      await bank.settled();
      await bank.stopWorkers();
    }
    await bank.inspect();
  },
);

test.each([
  ['SIGKILL on the last attempt', 'step-claimed'],
  ['immediate restart of Postgres', 'after-effect-before-commit'],
  ['lost answers to COMMIT', 'after-effect-before-commit'],
  ['SIGSTOP past the lease, then SIGCONT', 'after-activity-before-transaction'],
] as const)('%s at %s', { timeout: 120_000 }, async (mode, point) => breakAt(bank, point, mode));
