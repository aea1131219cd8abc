import { describe, expect, it } from 'vitest';
import type { Operation } from '../../../src/simulator/index.ts';
import {
  changeLocally,
  divergences,
  expectBaseLikeDict,
  localBase,
  reconciliation,
} from '../../support/inspect.ts';
import { ISPB, isClosed, startSystem, type System } from '../../support/system.ts';

/** Lets DICT do something at the moment it answers an operation for the first time. */
function meanwhile(
  { dict }: System,
  operation: Operation,
  act: (answer: Record<string, unknown>) => void,
): void {
  dict.faults.on({ kind: 'nonsense', operation, times: 1, change: (answer) => (act(answer), answer) });
}

/** A run that waits for its CID file, with its snapshot already kept. */
async function polling(system: System): Promise<string> {
  const run = await system.reconcile();
  await system.waitForRun(run, ({ state }) => state === 'poll_file');
  return run;
}

/** DICT makes its files, also that of the second round, and the run ends in sync. */
async function fileComes(system: System, run: string): Promise<void> {
  const closed = await system.hurryToRun(run, (now) => {
    system.passAtDict(10_000);
    return isClosed(now);
  });
  expect(closed).toMatchObject({ status: 'COMPLETED' });
}

const SLOW_FILE = { fileGenerationMs: 10_000 };
/** What a customer has just changed. */
const NEW = { name: 'Zuleica Quintanilha', accountNumber: '00777001' };

describe('a key that changed while the run waited for approval', () => {
  it('it is left alone, not reverted, and is found equal once DICT follows', async () => {
    const system = await startSystem({
      settings: { MANUAL_APPROVAL_THRESHOLD: '4' },
      local: (entries) => entries.map((entry, at) => (at < 5 ? { ...entry, name: 'Outro Nome' } : entry)),
    });
    const run = await system.reconcile();
    await system.waitForRun(run, ({ status }) => status === 'WAITING');
    const { key } = system.entries[0]!;
    await changeLocally(system.pool, key, NEW);
    const { cid } = (await localBase(system.pool)).get(key)!;
    // DICT receives the change only after the repair: its first answer is NOK, which does not count; its second is OK.
    meanwhile(system, 'createSyncVerification', (answer) => {
      expect(answer['result']).toBe('NOK');
      system.dict.directory.updateEntry({ participant: ISPB, key }, NEW);
    });
    await system.pool.query(`select dict.approve_reconciliation($1, 'ana', 'fine')`, [run]);
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });

    await expectBaseLikeDict(system);
    expect((await localBase(system.pool)).get(key)).toMatchObject(NEW);
    // Never removed, not even for a moment.
    const { rows } = await system.pool.query(`select from dict.cid_log where cid = decode($1, 'hex')`, [cid]);
    expect(rows).toHaveLength(0);
    const found = await divergences(system.pool, run);
    expect(found.filter(({ decision }) => decision === 'CORRECTED')).toHaveLength(8);
    expect(found.filter(({ decision }) => decision === 'IN_FLIGHT').map(({ side }) => side)).toEqual([
      'DICT_ONLY',
      'LOCAL_ONLY',
    ]);
    expect(await reconciliation(system.pool, run)).toMatchObject({ rounds: 1, corrected: 4 });
  });
});

describe('a key that changed between the snapshot and the apply', () => {
  it('a key added locally and not at DICT yet is not removed', async () => {
    const system = await startSystem({ keysPerType: 50, divergent: 3, simulator: SLOW_FILE });
    const run = await polling(system);
    const entry = {
      ...system.entries[0]!,
      key: '00000000191',
      taxIdNumber: '00000000191',
      requestId: crypto.randomUUID(),
    };
    await system.pool.query(
      `insert into dict.entries (participant, key_type, key, request_id, owner_type, tax_id_number, name, account_number, account_type)
       values ($1, 'CPF', $2, $3, $4, $2, $5, $6, $7)`,
      [ISPB, entry.key, entry.requestId, entry.ownerType, entry.name, entry.accountNumber, entry.accountType],
    );
    meanwhile(system, 'createSyncVerification', (answer) => {
      expect(answer['result']).toBe('NOK');
      system.dict.directory.createEntry({ ...entry, branch: null, tradeName: null, openingDate: null });
    });
    await fileComes(system, run);
    await expectBaseLikeDict(system);
    const mine = (await divergences(system.pool, run)).filter(({ key }) => key === entry.key);
    expect(mine.map(({ round, side, decision }) => ({ round, side, decision }))).toEqual([
      { round: 1, side: 'LOCAL_ONLY', decision: 'IN_FLIGHT' },
    ]);
    const { rows } = await system.pool.query('select from dict.cid_log where key = $1', [entry.key]);
    expect(rows).toHaveLength(0);
  });

  it('a key removed locally and not at DICT yet is not added again', async () => {
    const system = await startSystem({ keysPerType: 50, divergent: 3, simulator: SLOW_FILE });
    const run = await polling(system);
    const kept = system.local.find(({ key }) => system.dict.directory.find(key) !== undefined)!;
    await system.pool.query('delete from dict.entries where key = $1', [kept.key]);
    meanwhile(system, 'createSyncVerification', (answer) => {
      expect(answer['result']).toBe('NOK');
      system.dict.directory.deleteEntry({ participant: ISPB, key: kept.key });
    });
    await fileComes(system, run);
    await expectBaseLikeDict(system);
    expect((await localBase(system.pool)).has(kept.key)).toBe(false);
    const mine = (await divergences(system.pool, run)).filter(({ key }) => key === kept.key);
    expect(mine.map(({ round, side, decision }) => ({ round, side, decision }))).toEqual([
      { round: 1, side: 'DICT_ONLY', decision: 'IN_FLIGHT' },
    ]);
  });

  it('a key changed by a transaction that began before the snapshot and committed after it', async () => {
    const system = await startSystem({ keysPerType: 50, simulator: SLOW_FILE });
    const { key } = system.entries[0]!;
    const writer = await system.pool.connect();
    await writer.query('begin');
    await writer.query('update dict.entries set name = $2, account_number = $3 where key = $1', [
      key,
      NEW.name,
      NEW.accountNumber,
    ]);
    const run = await polling(system);
    await writer.query('commit');
    writer.release();
    meanwhile(system, 'createSyncVerification', (answer) => {
      expect(answer['result']).toBe('NOK');
      system.dict.directory.updateEntry({ participant: ISPB, key }, NEW);
    });
    await fileComes(system, run);
    await expectBaseLikeDict(system);
    expect((await localBase(system.pool)).get(key)).toMatchObject(NEW);
    expect((await divergences(system.pool, run)).map(({ decision }) => decision)).toEqual([
      'IN_FLIGHT',
      'IN_FLIGHT',
    ]);
    expect(await reconciliation(system.pool, run)).toMatchObject({ rounds: 1, corrected: 0, inFlight: 1 });
  });
});

describe('a CID that DICT deleted after its file was made', () => {
  it('it is superseded, and the next round finds its successor', async () => {
    const system = await startSystem({ local: (entries) => entries.slice(2) });
    const { key } = system.entries[0]!;
    const cid = system.dict.directory.find(key)!.cid;
    // After the event log has judged what was found: only the lookup can detect it.
    meanwhile(system, 'listCidSetEvents', () => {
      system.dict.directory.updateEntry({ participant: ISPB, key }, NEW);
    });
    const run = await system.reconcile();
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
    const found = await divergences(system.pool, run);
    expect(found.find((row) => row.cid === cid)).toMatchObject({ round: 1, decision: 'SUPERSEDED' });
    expect(found.find((row) => row.round === 2)).toMatchObject({ decision: 'ADDED', key });
    expect(await reconciliation(system.pool, run)).toMatchObject({ rounds: 2, added: 2, dictOnly: 3 });
  });

  it('when DICT takes it back, the local key that has it is not touched', async () => {
    const system = await startSystem();
    const { key, name } = system.entries[0]!;
    system.dict.directory.updateEntry({ participant: ISPB, key }, { name: NEW.name });
    // After the event log has judged what was found: only the lookup can detect it.
    meanwhile(system, 'listCidSetEvents', () => {
      system.dict.directory.updateEntry({ participant: ISPB, key }, { name });
    });
    const run = await system.reconcile();
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
    expect((await divergences(system.pool, run)).map(({ decision }) => decision)).toEqual([
      'SUPERSEDED',
      'SUPERSEDED',
    ]);
    const { rows } = await system.pool.query('select from dict.cid_log');
    expect(rows).toHaveLength(0);
  });
});

describe('the margin before the snapshot', () => {
  it('it applies only to what customers changed, not to imported keys', async () => {
    const system = await startSystem({ divergent: 3, settings: { IN_FLIGHT_MARGIN_SECONDS: '600' } });
    const run = await system.reconcile();
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    expect(await reconciliation(system.pool, run)).toMatchObject({ rounds: 1, inFlight: 0 });
    await expectBaseLikeDict(system);
  });

  it('it leaves alone what a customer changed shortly before, and repairs it once the margin is over', async () => {
    const system = await startSystem({ settings: { IN_FLIGHT_MARGIN_SECONDS: '600' } });
    await changeLocally(system.pool, system.entries[0]!.key, NEW);
    const run = await system.reconcile();
    // The first round finds it, leaves it alone, and waits for the margin to be over.
    await expect.poll(async () => (await divergences(system.pool, run)).length).toBe(2);
    await system.waitForRun(run, ({ state, claimedBy }) => state === 'snapshot' && claimedBy === null);
    expect((await divergences(system.pool, run)).map(({ decision }) => decision)).toEqual([
      'IN_FLIGHT',
      'IN_FLIGHT',
    ]);
    expect(await system.hurryToRun(run, isClosed)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
  });
});
