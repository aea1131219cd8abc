import { afterAll, beforeAll, expect, test } from 'vitest';
import { Bank } from './bank.ts';
import { breakAt, type Mode } from './modes.ts';
import { crashPoints } from './points.ts';

/**
 * The part of `npm run test:chaos` that every change has to pass: each crash point once, and each other kind of break
 * once.
 */
let banks: Bank[] = [];
beforeAll(async () => {
  // Two, because each spends much of its time waiting for a start, a lease or a retry.
  banks = await Promise.all([Bank.open(), Bank.open()]);
});
afterAll(async () => {
  await Promise.all(banks.map(async (bank) => bank.close()));
});

const points = crashPoints();
/** A step in which two workers died survives; the third death would poison its run. */
const pairs = Array.from({ length: Math.ceil(points.length / 2) }, (_, n) => points.slice(2 * n, 2 * n + 2));
const OTHERS: [Mode, string][] = [
  ['SIGKILL on the last attempt', 'step-claimed'],
  ['immediate restart of Postgres', 'after-effect-before-commit'],
  ['lost answers to COMMIT', 'after-effect-before-commit'],
  ['SIGSTOP past the lease, then SIGCONT', 'after-activity-before-transaction'],
];

/** Both banks simultaneously, each with half of the breaks. */
async function shared<T>(breaks: readonly T[], each: (bank: Bank, what: T) => Promise<void>): Promise<void> {
  const left = [...breaks];
  await Promise.all(
    banks.map(async (bank) => {
      for (let what = left.shift(); what !== undefined; what = left.shift()) await each(bank, what);
    }),
  );
}

test('the sources contain the crash points that this test breaks', () => {
  expect(points).toContain('after-effect-before-commit');
  expect(points).toContain('relay-between-send-and-mark');
  expect(points.length).toBeGreaterThan(15);
});

test(
  'a worker killed at any crash point loses nothing and does nothing twice',
  { timeout: 180_000 },
  async () => {
    await shared(pairs, async (bank, pair) => {
      for (const point of pair) {
        await bank.workload(point);
        const worker = bank.worker(`kill:${point}`);
        await worker.reached(point);
        expect(await worker.gone()).toBe('SIGKILL');
        await bank.expireLeases();
      }
      await bank.untilQuiet();
      await bank.stopWorkers();
      await bank.inspect();
    });
  },
);

test('the system recovers from each other kind of break', { timeout: 120_000 }, async () => {
  await shared(OTHERS, async (bank, [mode, point]) => breakAt(bank, point, mode));
});
