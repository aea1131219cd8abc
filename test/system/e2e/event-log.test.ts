import { describe, expect, it } from 'vitest';
import type { Entry } from '../../../src/dict/entry/entry.ts';
import { historyOf } from '../../../src/engine/index.ts';
import { generateKeyBase } from '../../../src/simulator/index.ts';
import { changeLocally, divergences, expectBaseLikeDict } from '../../support/inspect.ts';
import { ISPB, isClosed, startSystem, type System, type SystemOptions } from '../../support/system.ts';

const files = ({ dict }: System) => dict.ledger.count('createCidSetFile');
const fresh = (count: number): Entry[] => [
  ...generateKeyBase({ participant: ISPB, keyTypes: ['CPF'], keysPerType: count, seed: 99 }),
];

/** A system whose VSync DICT has just called OK. */
async function confirmed(options: SystemOptions = {}): Promise<System> {
  const system = await startSystem(options);
  const run = await system.verify();
  expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
  return system;
}

async function reconciled(system: System): Promise<string> {
  const run = await system.reconcile();
  expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED', errorCode: null });
  await expectBaseLikeDict(system);
  return run;
}

/** How each round found what differs, and why by that method. */
async function foundByOf({ pool }: System, run: string): Promise<{ foundBy: string; reason: string }[]> {
  const { rows } = await pool.query<{ foundBy: string; reason: string }>(
    'select found_by as "foundBy", found_by_reason as reason from dict.rounds where run_id = $1 order by round',
    [run],
  );
  return rows;
}

/** A key changes at DICT, or at DICT only, as in a real divergence. */
const update = ({ dict }: System, { key }: Entry, name = 'Zuleica Quintanilha') =>
  dict.directory.updateEntry({ participant: ISPB, key }, { name });

describe('after an OK', () => {
  it('a reconciliation finds the divergences without a file, and its history says so', async () => {
    const system = await startSystem({ divergent: 3 });
    const first = await reconciled(system);
    expect(await foundByOf(system, first)).toEqual([
      { foundBy: 'FILE', reason: 'no VSync was confirmed yet' },
    ]);
    expect(files(system)).toBe(1);

    // Changed, added and removed only at DICT; changed, added and removed only here.
    const [a, b, c, d] = system.entries.filter(({ key }) => system.dict.directory.find(key)) as [
      Entry,
      Entry,
      Entry,
      Entry,
    ];
    const [there, here] = fresh(2) as [Entry, Entry];
    update(system, a);
    system.dict.directory.createEntry(there);
    system.dict.directory.deleteEntry(b);
    await changeLocally(system.pool, c.key, { accountNumber: '00777' });
    await system.pool.query('delete from dict.entries where key = $1', [d.key]);
    await system.pool.query(
      `insert into dict.entries (participant, key_type, key, request_id, owner_type, tax_id_number, name, account_number, account_type)
       values ($1, 'CPF', $2, $3, $4, $2, $5, $6, $7)`,
      [ISPB, here.key, here.requestId, here.ownerType, here.name, here.accountNumber, here.accountType],
    );

    const second = await reconciled(system);
    expect(files(system)).toBe(1);
    const [round, ...others] = await foundByOf(system, second);
    expect(others).toEqual([]);
    expect(round).toMatchObject({ foundBy: 'EVENT_LOG' });
    expect(round!.reason).toMatch(/^both logs since the OK 0\.0 hours ago add up \([0-9]+ events\)$/);
    const past = await historyOf(system.pool, second);
    const replay = past.find(({ state, event }) => state === 'replay' && event === 'COMPLETED');
    expect(replay).toMatchObject({
      outcome: 'different',
      detail: { foundBy: 'EVENT_LOG', reason: round!.reason, dictOnly: 4, localOnly: 4 },
    });
    const decisions = (await divergences(system.pool, second)).map(({ decision }) => decision).sort();
    expect(decisions).toEqual([
      ...['ADDED', 'ADDED'],
      ...['CORRECTED', 'CORRECTED', 'CORRECTED', 'CORRECTED'],
      ...['REMOVED', 'REMOVED'],
    ]);
  });

  it('where both sides made the same changes, it says so from the log alone and changes nothing', async () => {
    const system = await confirmed();
    const entry = system.entries[0]!;
    update(system, entry);
    await changeLocally(system.pool, entry.key, { name: 'Zuleica Quintanilha' });
    update(system, entry, entry.name);
    await changeLocally(system.pool, entry.key, { name: entry.name });
    const run = await reconciled(system);
    expect(await divergences(system.pool, run)).toEqual([]);
    expect(await foundByOf(system, run)).toMatchObject([{ foundBy: 'EVENT_LOG' }]);
    expect(files(system)).toBe(0);
  });

  it('its divergences count for the approval threshold, too', async () => {
    const system = await confirmed({ settings: { MANUAL_APPROVAL_THRESHOLD: '1' } });
    update(system, system.entries[0]!);
    const run = await system.reconcile();
    await system.waitForRun(run, ({ status }) => status === 'WAITING');
    await system.pool.query(`select dict.approve_reconciliation($1, 'ana', 'fine')`, [run]);
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    expect(await foundByOf(system, run)).toMatchObject([{ foundBy: 'EVENT_LOG' }]);
  });

  it('after a late approval it asks the log again, because the log was not refuted', async () => {
    const system = await confirmed({ settings: { MANUAL_APPROVAL_THRESHOLD: '1' } });
    update(system, system.entries[0]!);
    const run = await system.reconcile();
    await system.waitForRun(run, ({ status }) => status === 'WAITING');
    await system.advance('61 minutes');
    await system.pool.query(`select dict.approve_reconciliation($1, 'ana', 'fine')`, [run]);
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    expect(await foundByOf(system, run)).toMatchObject([{ foundBy: 'EVENT_LOG' }, { foundBy: 'EVENT_LOG' }]);
    await expectBaseLikeDict(system);
  });
});

describe('the CID file is requested', () => {
  async function byFile(system: System, reason: string): Promise<void> {
    const run = await reconciled(system);
    expect((await foundByOf(system, run)).at(-1)).toEqual({ foundBy: 'FILE', reason });
    expect(files(system)).toBe(1);
    const past = await historyOf(system.pool, run);
    const replays = past.filter(({ state, event }) => state === 'replay' && event === 'COMPLETED');
    expect(replays.at(-1)).toMatchObject({ outcome: 'use_file', detail: { foundBy: 'FILE', reason } });
  }

  it('when no VSync was confirmed yet', async () => {
    const system = await startSystem({ divergent: 3 });
    await byFile(system, 'no VSync was confirmed yet');
  });

  it('when the last OK is too old', async () => {
    const system = await confirmed();
    update(system, system.entries[0]!);
    await system.advance('37 hours');
    await byFile(system, 'the last OK is older than 36 hours');
  });

  it('when DICT has no event from which to know its VSync', async () => {
    const system = await confirmed();
    await changeLocally(system.pool, system.entries[0]!.key, { accountNumber: '00777' });
    await byFile(system, 'DICT has no event since the last OK');
  });

  it('when there are too many events', async () => {
    const system = await confirmed({ settings: { APPROVAL_BASE_PERCENT: '100' } });
    // 4,000 events fill the pages that are read. They have different times: one time for all would be another reason.
    for (let n = 0; n < 2001; n++) {
      system.passAtDict(1);
      update(system, system.entries[n % 40]!, n % 80 < 40 ? 'Zuleica Quintanilha' : 'Ana Quintanilha');
    }
    await system.advance('3 seconds');
    await byFile(system, 'too many events since the last OK');
  });

  it('when the log’s pages do not link up', async () => {
    const system = await confirmed();
    update(system, system.entries[0]!);
    update(system, system.entries[1]!);
    system.dict.faults.on({
      kind: 'nonsense',
      operation: 'listCidSetEvents',
      times: 1,
      change: (answer) => ({
        ...answer,
        events: (answer['events'] as unknown[]).filter((_, index) => index !== 1),
      }),
    });
    await byFile(system, "the event log's pages do not link up");
  });

  it('when the replay does not add up because the OK was wrong', async () => {
    const system = await startSystem({ divergent: 3 });
    system.dict.faults.on({
      kind: 'nonsense',
      operation: 'createSyncVerification',
      times: 1,
      change: (answer) => ({ ...answer, result: 'OK' }),
    });
    const run = await system.verify();
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    system.dict.directory.createEntry(fresh(1)[0]!);
    await byFile(system, "the replay does not add up to DICT's VSync");
  });

  it('when the log cannot be read', async () => {
    const system = await confirmed();
    update(system, system.entries[0]!);
    system.dict.faults.on({ kind: 'problem', operation: 'listCidSetEvents', status: 403 });
    await byFile(system, 'the event log cannot be read (DV_DICT_FORBIDDEN)');
  });

  it('when the log’s limit is used up for minutes', async () => {
    const system = await confirmed();
    update(system, system.entries[0]!);
    const limit = system.dict.faults.on({ kind: 'problem', operation: 'listCidSetEvents', status: 429 });
    const run = await system.reconcile();
    await system.hurryToRun(
      run,
      ({ state }) => state !== 'replay' && state !== 'open' && state !== 'snapshot',
    );
    limit.off();
    expect(await system.hurryToRun(run, isClosed)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
    expect(await foundByOf(system, run)).toEqual([
      { foundBy: 'FILE', reason: 'the event log cannot be read (DV_DICT_RATE_LIMITED)' },
    ]);
    // It asked once a minute, and not for ever.
    const refused = system.dict.ledger.calls('listCidSetEvents').filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThanOrEqual(4);
    expect(refused.length).toBeLessThanOrEqual(7);
  });

  it('when DICT says NOK to what the replay led to: an event was late', async () => {
    const system = await confirmed();
    const [late, prompt] = fresh(2) as [Entry, Entry];
    system.dict.faults.on({ kind: 'late_events', delayMs: 3_600_000, times: 1 });
    system.dict.directory.createEntry(late);
    system.dict.directory.createEntry(prompt);
    await byFile(system, 'DICT said NOK to what an earlier replay led to');
    const { rows } = await system.pool.query('select found_by as "foundBy" from dict.rounds order by round');
    expect(rows).toEqual([{ foundBy: 'EVENT_LOG' }, { foundBy: 'FILE' }]);
  });
});
