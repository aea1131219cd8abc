import { describe, expect, it } from 'vitest';
import { coded } from '../sql/support.ts';
import {
  changeLocally,
  dictBase,
  divergences,
  expectBaseLikeDict,
  heard,
  localBase,
  notifications,
} from '../support/inspect.ts';
import type { System } from '../support/system.ts';
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
  it('are left alone by the next reconciliation, which says so and ends at once', async () => {
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
    expect([...new Set(found.map(({ key }) => key))].sort()).toEqual(held);
    // One round, and DICT was asked about none of them.
    expect(new Set(found.map(({ round }) => round))).toEqual(new Set([1]));
    expect(system.dict.ledger.count('getEntryByCid')).toBe(lookups);
    expect(await heard(system.pool, next)).toEqual([
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
    const [missing] = (await heldNow(system)).slice(-1);
    const donor = system.entries.find(({ key }) => key !== missing)!;
    await changeLocally(system.pool, donor.key, { name: 'Nome Errado' });
    const next = await system.reconcile();
    expect(await system.waitForClosed(next)).toMatchObject({ errorCode: 'DV_KEYS_HELD' });
  });

  it('of which DICT has a state never seen here are known once it is fetched, under the lock', async () => {
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
    expect(system.dict.ledger.calls('getEntryByCid').slice(-both.length)).toHaveLength(both.length);
    // One change of one key: both its CIDs name it.
    const sides = found.filter(({ key }) => key === both[0]).map(({ side }) => side);
    expect(sides.includes('DICT_ONLY')).toBe(true);
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
    expect([...dictBase(system).keys()].length).toBeGreaterThan(0);
  });

  it('are released by what is named, all of which must hold', async () => {
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
