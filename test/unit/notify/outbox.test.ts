import { randomUUID } from 'node:crypto';
import { beforeEach, expect, test } from 'vitest';
import { inTransaction } from '../../../src/engine/index.ts';
import { publish } from '../../../src/notify/index.ts';
import { Random } from '../../../src/simulator/random.ts';
import { useTestDatabase } from '../../support/database.ts';
import { ISPB, emptyOutbox, message, outbox, publishOne } from './support.ts';

const database = useTestDatabase();

beforeEach(() => emptyOutbox(database.pool));

test('a message keeps its content, its run, and an id of version 7', async () => {
  const runId = randomUUID();
  const sent = message(1);
  await inTransaction(database.pool, async (tx) => publish(tx, ISPB, 'ALL', runId, sent));
  const { rows } = await database.pool.query(
    'select id, participant, key_type, sequence::int, type, payload, run_id, delivered_at, attempts from dict.outbox',
  );
  expect(rows).toMatchObject([
    {
      participant: ISPB,
      key_type: 'ALL',
      sequence: 1,
      type: sent.type,
      payload: sent.content,
      run_id: runId,
      delivered_at: null,
      attempts: 0,
    },
  ]);
  expect(rows[0].id).toMatch(/^.{14}7/);
});

test('the message commits or rolls back with the transaction that causes it', async () => {
  await expect(publishOne(database.pool, { fails: true })).rejects.toThrow('rolled back');
  expect(await outbox(database.pool)).toEqual([]);
});

test('the sequence has no gap and no repetition, per participant and key type, whoever publishes and rolls back', async () => {
  const random = new Random(5, 'publishers');
  const published = new Map<string, number>();
  const publisher = async () => {
    for (let n = 0; n < 40; n++) {
      const participant = random.pick([ISPB, '00000001']);
      const keyType = random.pick(['EMAIL', 'CPF', 'ALL'] as const);
      const fails = random.chance(0.3);
      const publishing = inTransaction(database.pool, async (tx) => {
        await publish(tx, participant, keyType, randomUUID(), message(n));
        if (random.chance(0.3)) {
          await tx.query('savepoint s');
          await publish(tx, participant, keyType, randomUUID(), message(n));
          await tx.query('rollback to s');
        }
        if (fails) throw new Error('rolled back');
      });
      if (fails) await expect(publishing).rejects.toThrow('rolled back');
      else {
        await publishing;
        const name = `${participant} ${keyType}`;
        published.set(name, (published.get(name) ?? 0) + 1);
      }
    }
  };
  await Promise.all(Array.from({ length: 8 }, publisher));
  const sequences = Map.groupBy(await outbox(database.pool), (row) => `${row.participant} ${row.key_type}`);
  expect(new Map([...sequences].map(([name, rows]) => [name, rows.map(({ sequence }) => sequence)]))).toEqual(
    new Map([...published].map(([name, count]) => [name, Array.from({ length: count }, (_, i) => i + 1)])),
  );
  expect(new Set((await outbox(database.pool)).map(({ id }) => id)).size).toBe(
    [...published.values()].reduce((sum, count) => sum + count),
  );
});
