import { expect, test } from 'vitest';
import * as lease from '../../../src/engine/lease.ts';
import { useTestDatabase } from '../../support/database.ts';

const database = useTestDatabase();

test('the program and the database have the same lease', async () => {
  const { rows } = await database.pool.query<{ ms: number }>(
    'select extract(epoch from workflow.lease())::float8 * 1000 as ms',
  );
  expect(rows).toEqual([{ ms: lease.LEASE_MS }]);
});

test('the times fit together', () => {
  expect(5 * lease.BEAT_MS).toBe(lease.LEASE_MS);
  // A beat that hangs leaves time for another.
  expect(2 * (lease.BEAT_MS + lease.BEAT_TIMEOUT_MS)).toBeLessThanOrEqual(lease.LEASE_MS);
  // docs/reliability.md: a dead worker's runs continue within 15 s.
  expect(lease.LEASE_MS + lease.SWEEP_MS + lease.POLL_MS).toBeLessThan(15_000);
  // A worker that loses its connections has been taken for dead before.
  expect(lease.SILENCE_MS).toBeGreaterThan(lease.LEASE_MS + lease.SWEEP_MS);
  expect(lease.IDLE_TRANSACTION_MS).toBeLessThanOrEqual(lease.LEASE_MS);
});
