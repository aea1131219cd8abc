import { describe, expect, it } from 'vitest';
import { coded } from '../../contract/sql/support.ts';
import {
  changeLocally,
  divergences,
  expectBaseLikeDict,
  received,
  localBase,
  notifications,
} from '../../support/inspect.ts';
import type { System } from '../../support/system.ts';
import { heldNow, quickSystem, stateOf, undo } from './support.ts';

/** A base that was repaired and the repair undone: every changed key is held. */
async function undoneBase(): Promise<{ system: System; run: string; undoRun: string; held: string[] }> {
  const system = await quickSystem({ divergent: 9 });
  const run = await system.reconcile();
  await system.waitForClosed(run);
  const undoRun = await undo(system, run);
  const held = await heldNow(system);
  expect(held).toHaveLength(9);
  return { system, run, undoRun, held };
}

/** Whether the divergences of a run, and the base, are as they were. */
async function decisionsOf({ pool }: System, run: string): Promise<Record<string, number>> {
  const found = await divergences(pool, run);
  return Object.fromEntries(
    [...Map.groupBy(found, ({ decision }) => decision)].map(([name, rows]) => [name, rows.length]),
  );
}

async function release({ pool }: System, sql: string, values: unknown[] = []): Promise<number> {
  const { rows } = await pool.query<{ n: number }>(`select dict.release_keys(${sql})::integer as n`, values);
  return rows[0]!.n;
}

describe('held keys', () => {
  it('are left alone by the next reconciliation, which says so and ends immediately', async () => {
    const { system, held } = await undoneBase();
    const before = await stateOf(system);
    const lookups = system.dict.ledger.count('getEntryByCid');
    const next = await system.reconcile();
    expect(await system.waitForClosed(next)).toMatchObject({
      status: 'FAILED',
      errorCode: 'DV_KEYS_HELD',
      errorMessage: expect.stringContaining(' 9 keys') as string,
    });
    expect(await stateOf(system)).toEqual(before);
    const found = await divergences(system.pool, next);
    expect(found.map(({ decision }) => decision)).toEqual(found.map(() => 'HELD'));
    expect(new Set(found.map(({ key }) => key))).toEqual(new Set(held));
    // One round, and DICT was asked about none of them.
    expect(new Set(found.map(({ round }) => round))).toEqual(new Set([1]));
    expect(system.dict.ledger.count('getEntryByCid')).toBe(lookups);
    expect(await received(system.pool, next)).toEqual([
      'reconciliation.notification STARTED',
      'reconciliation.notification FAILED',
    ]);
    const failed = (await notifications(system.pool)).find(({ payload }) => payload['event'] === 'FAILED');
    expect(failed?.payload['summary']).toMatchObject({
      keysHeld: 9,
      keysAdded: 0,
      reason: expect.stringContaining('DV_KEYS_HELD') as string,
    });
  });

  it('do not keep the others from being repaired', async () => {
    const { system, held } = await undoneBase();
    const other = system.entries.find(
      ({ key }) => !held.includes(key) && system.dict.directory.find(key) !== undefined,
    )!;
    await changeLocally(system.pool, other.key, { name: 'Nome Errado' });
    const next = await system.reconcile();
    expect(await system.waitForClosed(next)).toMatchObject({ errorCode: 'DV_KEYS_HELD' });
    expect((await localBase(system.pool)).get(other.key)?.name).toBe(other.name);
    expect(await decisionsOf(system, next)).toMatchObject({ CORRECTED: 2 });
  });

  it('do not count for the approval threshold', async () => {
    const system = await quickSystem({ divergent: 9, settings: { MANUAL_APPROVAL_THRESHOLD: '12' } });
    const run = await system.reconcile();
    await system.waitForClosed(run);
    await undo(system, run);
    const held = await heldNow(system);
    const donor = system.entries.find(({ key }) => !held.includes(key))!;
    await changeLocally(system.pool, donor.key, { name: 'Nome Errado' });
    const next = await system.reconcile();
    expect(await system.waitForClosed(next)).toMatchObject({ errorCode: 'DV_KEYS_HELD' });
  });

  it('are left alone also by a reconciliation that had frozen them before', async () => {
    const system = await quickSystem({ divergent: 3, settings: { MANUAL_APPROVAL_THRESHOLD: '8' } });
    const before = await localBase(system.pool);
    const first = await system.reconcile();
    await system.waitForClosed(first);
    const { rows } = await system.pool.query<{ key: string }>(
      `select key from dict.key_changes where run_id = $1 and after is not null order by key`,
      [first],
    );
    const repaired = rows.map(({ key }) => key);
    expect(repaired).not.toHaveLength(0);
    const others = system.entries.filter(({ key }) => !repaired.includes(key)).slice(0, 5);
    for (const key of [...repaired, ...others.map((entry) => entry.key)]) {
      system.dict.directory.updateEntry({ participant: system.participant, key }, { name: 'Nome Novo' });
    }
    const waiting = await system.reconcile();
    await system.waitForRun(waiting, ({ status }) => status === 'WAITING');
    await undo(system, first);
    await system.pool.query(`select dict.approve_reconciliation($1, 'ana', 'fine')`, [waiting]);
    expect(await system.waitForClosed(waiting)).toMatchObject({ errorCode: 'DV_KEYS_HELD' });
    const base = await localBase(system.pool);
    for (const key of repaired) expect(base.get(key)).toEqual(before.get(key));
    for (const { key } of others) expect(base.get(key)?.name).toBe('Nome Novo');
    const mine = (await divergences(system.pool, waiting)).filter(({ key }) => repaired.includes(key ?? ''));
    expect(mine.map(({ round, decision }) => `${round} ${decision}`)).toEqual(mine.map(() => '1 HELD'));
  });

  it('whose state at DICT was never seen here are recognized once that is fetched, under the lock', async () => {
    const { system, held } = await undoneBase();
    const both = held.filter((key) => system.dict.directory.find(key) !== undefined);
    for (const key of both) {
      system.dict.directory.updateEntry(
        { participant: system.participant, key },
        { accountNumber: '00777001' },
      );
    }
    const before = await stateOf(system);
    const next = await system.reconcile();
    expect(await system.waitForClosed(next)).toMatchObject({ errorCode: 'DV_KEYS_HELD' });
    expect(await stateOf(system)).toEqual(before);
    const found = await divergences(system.pool, next);
    expect(found.map(({ decision }) => decision)).toEqual(found.map(() => 'HELD'));
    const fetched = found.filter(({ side }) => side === 'DICT_ONLY').map(({ key }) => key);
    expect(new Set(fetched)).toEqual(new Set(both));
  });

  it('that are released are repaired by the next reconciliation, or by a retry of the failed one', async () => {
    const { system, undoRun, held } = await undoneBase();
    const failed = await system.reconcile();
    await system.waitForClosed(failed);
    expect(await release(system, `'ana', undo_run => $1`, [undoRun])).toBe(held.length);
    expect(await heldNow(system)).toEqual([]);
    const { rows } = await system.pool.query(
      `select distinct by_whom, released_by, released_at is not null as released from dict.held_keys`,
    );
    expect(rows).toEqual([{ by_whom: 'ana', released_by: 'ana', released: true }]);
    await system.pool.query(`select workflow.retry($1)`, [failed]);
    expect(await system.waitForClosed(failed)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
  });

  it('are released by name, and every named key must be held', async () => {
    const { system, undoRun, held } = await undoneBase();
    await expect(release(system, `' ', '12345678'`)).rejects.toEqual(coded('DV_DECISION_UNSIGNED'));
    await expect(release(system, `'ana'`)).rejects.toEqual(coded('DV_RELEASE_UNNAMED'));
    await expect(release(system, `'ana', key_types => '{CAR}'`)).rejects.toEqual(
      coded('DV_KEY_TYPE_UNKNOWN'),
    );
    expect(await release(system, `'ana', '87654321'`)).toBe(0);
    expect(await release(system, `'ana', key_types => '{EVP}', undo_run => $1`, [undoRun])).toBe(0);
    expect(await release(system, `'ana', key => $1`, [held[0]])).toBe(1);
    expect(await release(system, `'ana', key => $1`, [held[0]])).toBe(0);
    expect(await release(system, `'ana', '12345678', '{CPF}'`)).toBe(held.length - 1);
  });

  it('can be held again by the undo of a later reconciliation', async () => {
    const { system, undoRun, held } = await undoneBase();
    const before = await stateOf(system);
    await release(system, `'ana', undo_run => $1`, [undoRun]);
    const next = await system.reconcile();
    expect(await system.waitForClosed(next)).toMatchObject({ status: 'COMPLETED' });
    await undo(system, next);
    expect(await heldNow(system)).toEqual(held);
    expect(await stateOf(system)).toEqual(before);
  });
});
