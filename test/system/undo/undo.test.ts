import { describe, expect, it } from 'vitest';
import {
  changeLocally,
  divergences,
  expectBaseLikeDict,
  localBase,
  notifications,
} from '../../support/inspect.ts';
import { isClosed, type System } from '../../support/system.ts';
import { heldNow, quickSystem, startUndo, stateOf, undo, undone } from './support.ts';

/** A base with keys missing, extra and changed, repaired; with its state before. */
async function repaired(
  divergent = 12,
): Promise<{ system: System; run: string; before: Awaited<ReturnType<typeof stateOf>> }> {
  const system = await quickSystem({ divergent });
  const before = await stateOf(system);
  const run = await system.reconcile();
  expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
  await expectBaseLikeDict(system);
  return { system, run, before };
}

async function changedKeys({ pool }: System, run: string): Promise<Record<string, string>> {
  const { rows } = await pool.query<{ key: string; decision: string }>(
    'select key, decision from dict.key_changes where run_id = $1 order by key',
    [run],
  );
  return Object.fromEntries(rows.map(({ key, decision }) => [key, decision]));
}

describe('undo', () => {
  it('it restores every entry and the VSync, makes the keys held, and publishes that to Core-Dict', async () => {
    const { system, run, before } = await repaired();
    const after = await stateOf(system);
    const changes = await changedKeys(system, run);
    expect(new Set(Object.values(changes))).toEqual(new Set(['ADDED', 'CORRECTED', 'REMOVED']));

    const undoRun = await undo(system, run);
    expect(await stateOf(system)).toEqual(before);
    const { rows: scans } = await system.pool.query<{ repaired: number }>(
      `select repaired_buckets as repaired from dict.recalculate_vsync($1, 'CPF')`,
      [system.participant],
    );
    expect(scans).toEqual([{ repaired: 0 }]);

    expect(await undone(system, undoRun)).toEqual(
      Object.entries(changes).map(([key, decision]) => ({ key, decision, result: 'UNDONE', why: null })),
    );
    expect(await heldNow(system)).toEqual(Object.keys(changes));

    const received = (await notifications(system.pool)).filter(({ payload }) => payload['runId'] === undoRun);
    expect(received.map(({ type }) => type)).toEqual(['undo.changes', 'undo.done']);
    const published = received[0]!.payload['changes'] as unknown as {
      key: string;
      before: unknown;
      after: unknown;
    }[];
    expect(published.map(({ key }) => key)).toEqual(Object.keys(changes));
    for (const change of published) {
      expect(change.before ?? undefined).toEqual(inMessage(after.entries[change.key]));
      expect(change.after ?? undefined).toEqual(inMessage(before.entries[change.key]));
    }
    expect(received[1]!.payload['summary']).toMatchObject({
      participant: system.participant,
      keyType: 'CPF',
      undoneRun: run,
      by: 'ana',
      reason: 'DICT was wrong',
      outcome: 'COMPLETED',
      keysUndone: published.length,
      keysLeft: 0,
    });
  });

  it('it leaves alone what something newer has touched, and says so', async () => {
    const { system, run } = await repaired();
    const byDecision = (await divergences(system.pool, run)).filter(({ side }) => side === 'DICT_ONLY');
    const updated = byDecision.find(({ decision }) => decision === 'CORRECTED')!.key!;
    const deleted = byDecision.find(({ decision }) => decision === 'ADDED')!.key!;
    const cameBack = byDecision.findLast(({ decision }) => decision === 'CORRECTED')!.key!;
    const { name } = (await localBase(system.pool)).get(cameBack)!;
    await changeLocally(system.pool, updated, { name: 'Zuleica Quintanilha' });
    await system.pool.query('delete from dict.entries where key = $1', [deleted]);
    // The same content again, but by a later change: this counts as newer.
    await changeLocally(system.pool, cameBack, { name: 'Alguem Outro' });
    await changeLocally(system.pool, cameBack, { name });

    const undoRun = await undo(system, run);
    const results = new Map((await undone(system, undoRun)).map((row) => [row.key, row]));
    expect(results.get(updated)).toMatchObject({ result: 'NEWER', why: 'it has changed since' });
    expect(results.get(cameBack)).toMatchObject({ result: 'NEWER', why: 'it has changed since' });
    expect(results.get(deleted)).toMatchObject({
      result: 'NEWER',
      why: 'the key is no longer in the base at all',
    });
    const base = await localBase(system.pool);
    expect(base.get(updated)?.name).toBe('Zuleica Quintanilha');
    expect(base.get(cameBack)?.name).toBe(name);
    expect(base.has(deleted)).toBe(false);
    expect([...results.values()].filter(({ result }) => result === 'UNDONE')).toHaveLength(results.size - 3);
    expect(await heldNow(system)).not.toContain(updated);

    const published = (await notifications(system.pool)).find(({ type }) => type === 'undo.changes')!;
    expect(published.payload['changes']).toContainEqual(
      expect.objectContaining({ key: updated, result: 'NEWER', why: 'it has changed since' }),
    );
    expect(await describeUndo(system, undoRun)).toEqual({ undone: results.size - 3, left: 3 });
  });

  it("it counts a later reconciliation's change as newer", async () => {
    const { system, run } = await repaired();
    const { key } = (await divergences(system.pool, run)).find(({ decision }) => decision === 'ADDED')!;
    system.dict.directory.updateEntry(
      { participant: system.participant, key: key! },
      { name: 'Zuleica Quintanilha' },
    );
    const later = await system.reconcile();
    expect(await system.waitForClosed(later)).toMatchObject({ status: 'COMPLETED' });
    const undoRun = await undo(system, run);
    expect((await undone(system, undoRun)).find((row) => row.key === key)).toMatchObject({
      result: 'NEWER',
      why: 'a later reconciliation has changed it',
    });
    await undo(system, later);
    expect((await localBase(system.pool)).get(key!)?.name).not.toBe('Zuleica Quintanilha');
  });

  it('it refuses what cannot be undone', async () => {
    const { system, run } = await repaired();
    const refused = async (id: string) =>
      startUndo(system, id).then(
        () => 'started',
        (error: { code: string }) => error.code,
      );
    expect(await refused(crypto.randomUUID())).toBe('DV_RUN_NOT_FOUND');

    const first = await undo(system, run);
    expect(await refused(run)).toBe('DV_ALREADY_UNDONE');
    expect(await refused(first)).toBe('DV_RUN_NOT_RECONCILIATION');
    expect(await refused(await system.verify(['EMAIL']))).toBe('DV_RUN_NOT_RECONCILIATION');
    const empty = await system.reconcile('EMAIL');
    await system.waitForClosed(empty);
    expect(await refused(empty)).toBe('DV_NOTHING_TO_UNDO');
    await system.stopService();
    expect(await refused(await system.reconcile('PHONE'))).toBe('DV_RUN_OPEN');
  });

  it('asked for twice while it is open, it is one run', async () => {
    const { system, run } = await repaired();
    await system.stopService();
    const first = await startUndo(system, run);
    expect(await startUndo(system, run, 'bia')).toBe(first);
    await system.restartService();
    await system.waitForClosed(first);
  });

  it('it resumes between chunks after a stop, and processes each key once', async () => {
    const system = await quickSystem({
      keysPerType: 900,
      settings: {
        MANUAL_APPROVAL_THRESHOLD: '10000',
        APPROVAL_DAILY_KEYS: '10000',
        APPROVAL_BASE_PERCENT: '100',
      },
      local: (entries) => entries.slice(700),
    });
    const before = await stateOf(system);
    const run = await system.reconcile();
    await system.waitForClosed(run);
    await system.stopService();
    const id = await startUndo(system, run);
    // Blocks the second chunk, whose keys come after the 200 of the first.
    const { rows } = await system.pool.query<{ key: string }>(
      'select key from dict.key_changes where run_id = $1 order by key offset 300 limit 1',
      [run],
    );
    const blocker = await system.pool.connect();
    await blocker.query('begin');
    await blocker.query('select from dict.entries where key = $1 for update', [rows[0]!.key]);
    await system.restartService();
    await expect.poll(async () => undone(system, id)).toHaveLength(200);
    await expect.poll(async () => killBlocked(system)).toBe(1);
    await system.stopService();
    await blocker.query('rollback');
    blocker.release();
    expect(await undone(system, id)).toHaveLength(200);

    await system.restartService();
    expect(await system.waitForRun(id, isClosed)).toMatchObject({ status: 'COMPLETED' });
    expect(await undone(system, id)).toHaveLength(700);
    expect(await stateOf(system)).toEqual(before);
    const published = (await notifications(system.pool)).filter(({ type }) => type === 'undo.changes');
    expect(
      published.map(({ payload }) => [payload['page'], (payload['changes'] as unknown as unknown[]).length]),
    ).toEqual([1, 2, 3, 4, 5, 6, 7].map((page) => [page, 100]));
    expect((await notifications(system.pool)).at(-1)?.payload).toMatchObject({
      ...{ runId: id, pageCount: 7, changeCount: 700 },
    });
  });

  it('it continues where a cancelled one stopped', async () => {
    const system = await quickSystem({ local: (entries) => entries.slice(20) });
    const before = await stateOf(system);
    const run = await system.reconcile();
    await system.waitForClosed(run);
    await system.stopService();
    const first = await startUndo(system, run);
    await system.pool.query('select workflow.cancel($1)', [first]);
    const second = await startUndo(system, run);
    expect(second).not.toBe(first);
    await system.restartService();
    await system.waitForClosed(second);
    expect(await stateOf(system)).toEqual(before);
  });

  it('it gives a key that one run changed twice what it was before the first change', async () => {
    const system = await quickSystem({ local: (entries) => entries.slice(2) });
    const before = await stateOf(system);
    const { key } = system.entries[0]!;
    system.dict.faults.on({
      kind: 'nonsense',
      operation: 'createSyncVerification',
      times: 1,
      change: (answer) => {
        system.dict.directory.updateEntry({ participant: system.participant, key }, { name: 'Segundo Nome' });
        return { ...answer, result: 'NOK' };
      },
    });
    const run = await system.reconcile();
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    const { rows } = await system.pool.query<{ decision: string }>(
      'select decision from dict.key_changes where run_id = $1 and key = $2 order by round',
      [run, key],
    );
    expect(rows.map(({ decision }) => decision)).toEqual(['ADDED', 'CORRECTED']);
    await undo(system, run);
    expect(await stateOf(system)).toEqual(before);
  });
});

/** An entry as messages show it: dates come with an offset. */
function inMessage(entry: unknown): unknown {
  if (entry === undefined) return undefined;
  const { openingDate, ...rest } = entry as { openingDate: string | null };
  return expect.objectContaining(openingDate === null ? { ...rest, openingDate } : rest);
}

/** Cuts the connection of the chunk that waits for a lock: what it had written is rolled back. */
async function killBlocked({ pool }: System): Promise<number> {
  const { rowCount } = await pool.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and wait_event_type = 'Lock'`,
  );
  return rowCount ?? 0;
}

async function describeUndo({ pool }: System, id: string): Promise<{ undone: number; left: number }> {
  const { rows } = await pool.query<{ undone: number; left: number }>(
    'select keys_undone::integer as undone, keys_left::integer as left from dict.undos where undo_run_id = $1',
    [id],
  );
  return rows[0]!;
}
