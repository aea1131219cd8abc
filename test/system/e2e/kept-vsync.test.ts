import { describe, expect, it } from 'vitest';
import { capturedLog } from '../../support/log.ts';
import { childrenOf, expectBaseLikeDict, reconciliation } from '../../support/inspect.ts';
import { ISPB, startSystem, type System } from '../../support/system.ts';

/** Changes entries as a restore or a replication does: without the triggers, so that the kept VSync is wrong. */
async function pastTheTriggers({ pool }: System, sql: string, values: unknown[]): Promise<void> {
  await pool.query('alter table dict.entries disable trigger user');
  await pool.query(sql, values);
  await pool.query('alter table dict.entries enable trigger user');
}

async function scans({ pool }: System): Promise<unknown[]> {
  const { rows } = await pool.query(
    'select key_type, entries::integer, repaired_buckets as repaired from dict.vsync_scans',
  );
  return rows;
}

describe('a kept VSync that is wrong', () => {
  it('it is repaired before the first verification sends it', async () => {
    const { log, lines } = await capturedLog('warn');
    const system = await startSystem({ log });
    const { key } = system.entries[0]!;
    await pastTheTriggers(system, `update dict.entries set name = 'Outro Nome' where key = $1`, [key]);

    const run = await system.verify();
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    expect(await scans(system)).toEqual([
      { key_type: 'CPF', entries: 60, repaired: expect.any(Number) as unknown },
    ]);
    expect(lines().find(({ repairedBuckets }) => repairedBuckets !== undefined)).toMatchObject({
      level: 40,
      runId: run,
      keyType: 'CPF',
      participant: ISPB,
    });
    const child = (await childrenOf(system.pool, run)).CPF!;
    expect(await system.waitForClosed(child)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
  });

  it('it is repaired by the first verification after 24 hours without a scan', async () => {
    const system = await startSystem();
    await system.waitForClosed(await system.verify());
    expect(await scans(system)).toEqual([{ key_type: 'CPF', entries: 60, repaired: 0 }]);
    await pastTheTriggers(system, 'delete from dict.entries where key = $1', [system.entries[0]!.key]);

    await system.advance('23 hours');
    const young = await system.verify();
    await system.waitForClosed(young);
    expect(await childrenOf(system.pool, young)).toEqual({});

    await system.advance('2 hours');
    const run = await system.verify();
    await system.waitForClosed(run);
    expect(await scans(system)).toEqual([{ key_type: 'CPF', entries: 59, repaired: 1 }]);
    const child = (await childrenOf(system.pool, run)).CPF!;
    expect(await system.waitForClosed(child)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
  });

  it.each([0, 3])(
    'it is repaired by a reconciliation of %i keys before it is sent as the proof',
    async (divergent) => {
      const system = await startSystem({ divergent });
      // A bucket is wrong although no entry is.
      await system.pool.query(
        `insert into dict.vsync_deltas (participant, key_type, bucket, count_change, xor)
       values ($1, 'CPF', 7, 1, ('x' || repeat('ab', 32))::bit(256))`,
        [ISPB],
      );
      const run = await system.reconcile();
      expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
      expect(await scans(system)).toEqual([{ key_type: 'CPF', entries: 60, repaired: 1 }]);
      expect(await reconciliation(system.pool, run)).toMatchObject({ rounds: 1 });
      await expectBaseLikeDict(system);
    },
  );
});
