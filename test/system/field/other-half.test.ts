import { describe, expect, it } from 'vitest';
import type { CallFault, Fault } from '../../../src/simulator/faults.ts';
import { expectBaseLikeDict } from '../../support/inspect.ts';
import { isClosed, ISPB, startSystem, type System } from '../../support/system.ts';

/** What the run left of each kind: side, decision, key. */
async function left({ pool }: System, run: string): Promise<string[]> {
  const { rows } = await pool.query<{ left: string }>(
    `select concat_ws(' ', side, decision, key) as left from dict.divergences
     where run_id = $1 and round = (select max(round) from dict.rounds where run_id = $1) order by 1`,
    [run],
  );
  return rows.map((row) => row.left);
}

async function removedKeys({ pool }: System): Promise<string[]> {
  const { rows } = await pool.query<{ key: string }>(
    'select key from dict.entries where removed_at is not null order by 1',
  );
  return rows.map(({ key }) => key);
}

/** The CID of a key that only DICT has. */
function missingAtFirst({ entries, local, dict }: System): string {
  const { key } = entries.find((entry) => !local.some((other) => other.key === entry.key))!;
  return dict.directory.find(key)!.cid;
}

/** DICT has changed a key, the local write was lost, and DICT does not show the new entry. */
async function unreadable(
  fault: CallFault,
  options: Parameters<typeof startSystem>[0] = {},
): Promise<{ system: System; key: string; cid: string; off: () => void }> {
  const system = await startSystem({ keysPerType: 30, ...options });
  await system.waitForClosed(await system.verify());
  const { key } = system.entries[0]!;
  const { cid } = system.dict.directory.updateEntry({ participant: ISPB, key }, { accountNumber: '00042' });
  const armed = system.dict.faults.on({ ...fault, operation: 'getEntryByCid', cid } satisfies Fault);
  return { system, key, cid, off: () => armed.off() };
}

describe.each([
  ['DICT has an internal error', { kind: 'problem', status: 500 }],
  ['DICT refuses it by order of a court', { kind: 'problem', status: 400, type: 'EntryBlocked' }],
  [
    'the answer is not understood',
    { kind: 'nonsense', change: (answer: object) => ({ ...answer, entry: {} }) },
  ],
] as const)('the other half of a changed key: %s', (_, fault) => {
  it.each([['36'], ['0']])(
    'its key is not removed, a person is asked (EVENT_LOG_MAX_HOURS=%s)',
    async (hours) => {
      const { system, key, off } = await unreadable(fault, {
        settings: { EVENT_LOG_MAX_HOURS: hours },
      });
      const run = await system.reconcile();
      expect(await system.hurryToRun(run, isClosed)).toMatchObject({ status: 'COMPLETED_WITH_QUARANTINE' });
      expect(await left(system, run)).toEqual(['DICT_ONLY QUARANTINED', `LOCAL_ONLY UNSURE ${key}`]);
      expect(await removedKeys(system)).toEqual([]);

      // As soon as DICT shows it, the key is corrected.
      off();
      expect(await system.hurryToRun(await system.reconcile(), isClosed)).toMatchObject({
        status: 'COMPLETED',
      });
      await expectBaseLikeDict(system);
    },
  );
});

describe('a person', () => {
  it('decides that an UNSURE key is to be removed; DICT is asked once more, and the decision is kept', async () => {
    const system = await startSystem({ keysPerType: 30, local: (entries) => entries });
    await system.hurryToRun(await system.verify(), isClosed);
    const [shown, gone] = system.entries;
    // One key appears at DICT that it never shows, and another one was deleted: are they the same? DICT's log cannot say.
    system.dict.directory.deleteEntry({ participant: ISPB, key: gone!.key });
    const { cid } = system.dict.directory.updateEntry(
      { participant: ISPB, key: shown!.key },
      { accountNumber: '00042' },
    );
    system.dict.faults.on({ kind: 'problem', status: 500, operation: 'getEntryByCid', cid });
    const run = await system.reconcile();
    expect(await system.hurryToRun(run, isClosed)).toMatchObject({ status: 'COMPLETED_WITH_QUARANTINE' });
    const unsure = (await left(system, run)).filter((row) => row.startsWith('LOCAL_ONLY UNSURE'));
    expect(unsure).toHaveLength(2);
    const decide = async (keys: string[], by = 'ana') =>
      system.pool.query(`select dict.remove_unsure($1, $2, $3, 'asked in the portal')`, [run, keys, by]);
    await expect(decide(['another key'])).rejects.toMatchObject({ detail: 'DV_KEY_NOT_UNSURE' });
    await expect(decide([gone!.key], ' ')).rejects.toMatchObject({ detail: 'DV_DECISION_UNSIGNED' });
    await decide([gone!.key]);
    const { rows } = await system.pool.query<{ id: string }>(
      `select id from workflow.runs where machine = 'reconciliation' order by created_at desc limit 1`,
    );
    expect(await system.hurryToRun(rows[0]!.id, isClosed)).toMatchObject({
      status: 'COMPLETED_WITH_QUARANTINE',
    });
    expect(await removedKeys(system)).toEqual([gone!.key]);
    expect(await left(system, rows[0]!.id)).toEqual(
      expect.arrayContaining([`LOCAL_ONLY REMOVED ${gone!.key}`, `LOCAL_ONLY UNSURE ${shown!.key}`]),
    );
    const { rows: decided } = await system.pool.query(
      `select plan, plan_by, plan_why from dict.divergences where run_id = $1 and plan is not null`,
      [rows[0]!.id],
    );
    expect(decided).toEqual([{ plan: 'REMOVE', plan_by: 'ana', plan_why: 'asked in the portal' }]);
  });
});

it("DICT's log proves that two CIDs belong to two keys, and then the removal is made", async () => {
  const { system, key } = await unreadable({ kind: 'problem', status: 500 });
  // Deleted half a minute later: both CIDs were in DICT together.
  system.passAtDict(30_000);
  const other = system.entries[1]!.key;
  system.dict.directory.deleteEntry({ participant: ISPB, key: other });
  system.passAtDict(30_000);
  await system.advance('1 minute');
  const run = await system.reconcile();
  expect(await system.hurryToRun(run, isClosed)).toMatchObject({ status: 'COMPLETED_WITH_QUARANTINE' });
  expect(await left(system, run)).toEqual([
    'DICT_ONLY QUARANTINED',
    `LOCAL_ONLY REMOVED ${other}`,
    `LOCAL_ONLY UNSURE ${key}`,
  ]);
});

it('a CID that DICT lists again and again and never shows is quarantined in one round, with its correlation id', async () => {
  const system = await startSystem({ keysPerType: 30, divergent: 9 });
  const cid = missingAtFirst(system);
  system.dict.faults.on({ kind: 'problem', operation: 'getEntryByCid', cid, status: 404 });
  const run = await system.reconcile();
  expect(await system.hurryToRun(run, isClosed)).toMatchObject({ status: 'COMPLETED_WITH_QUARANTINE' });
  const { rows } = await system.pool.query(
    `select decision, correlation_id is not null as traced, round from dict.divergences where run_id = $1 and cid = decode($2, 'hex')`,
    [run, cid],
  );
  expect(rows).toEqual([{ decision: 'QUARANTINED', traced: true, round: 1 }]);
  expect(await removedKeys(system)).toEqual([]);
});

it('an entry that does not give its own CID is quarantined, and the removals of other keys are made', async () => {
  const system = await startSystem({ keysPerType: 30, divergent: 9 });
  const cid = missingAtFirst(system);
  system.dict.faults.on({ kind: 'nonsense', operation: 'getEntryByCid', cid, as: 'entry_of_before' });
  const run = await system.reconcile();
  expect(await system.hurryToRun(run, isClosed)).toMatchObject({ status: 'COMPLETED_WITH_QUARANTINE' });
  const decisions = (await left(system, run)).map((row) => row.split(' ').slice(0, 2).join(' '));
  expect(new Set(decisions)).toEqual(
    new Set([
      'DICT_ONLY QUARANTINED',
      'DICT_ONLY ADDED',
      'DICT_ONLY CORRECTED',
      'LOCAL_ONLY CORRECTED',
      'LOCAL_ONLY REMOVED',
    ]),
  );
});

it.each([
  ['entry_nul', 'entry.name'],
  ['entry_endless', 'entry.key'],
] as const)(
  'an entry that Postgres could not store (%s) is quarantined by its field, without its value',
  async (as, field) => {
    const system = await startSystem({ keysPerType: 30, divergent: 9 });
    const cid = missingAtFirst(system);
    system.dict.faults.on({ kind: 'nonsense', operation: 'getEntryByCid', cid, as });
    const run = await system.reconcile();
    expect(await system.hurryToRun(run, isClosed)).toMatchObject({ status: 'COMPLETED_WITH_QUARANTINE' });
    const { rows } = await system.pool.query<{ why: string; finding: string }>(
      `select why, finding::text from dict.divergences where run_id = $1 and cid = decode($2, 'hex')`,
      [run, cid],
    );
    expect(rows[0]!.why).toContain('was not understood');
    expect(rows[0]!.why).toContain(field);
    expect(rows[0]!.finding).not.toContain('xxxx');
    const { rows: pending } = await system.pool.query(
      `select from dict.divergences where run_id = $1 and decision = 'PENDING'`,
      [run],
    );
    expect(pending).toEqual([]);
  },
);
