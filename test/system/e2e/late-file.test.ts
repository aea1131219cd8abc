import { describe, expect, it, test } from 'vitest';
import { retryRun, type RunView } from '../../../src/engine/index.ts';
import {
  changeLocally,
  cidFiles,
  divergences,
  expectBaseLikeDict,
  localBase,
  reconciliation,
} from '../../support/inspect.ts';
import { ISPB, isClosed, startSystem, type System, type SystemOptions } from '../../support/system.ts';

const MINUTE = 60_000;
/** DICT needs longer for a file than the run waits. */
const SLOW: SystemOptions = { keysPerType: 30, divergent: 3, simulator: { fileGenerationMs: 15 * MINUTE } };

/** Lets time pass for both sides. */
async function pass(system: System, minutes: number): Promise<void> {
  system.passAtDict(minutes * MINUTE);
  await system.advance(`${minutes} minutes`);
}

/** A run that failed because its file was late. No time has passed at DICT. */
async function lateRun(system: System): Promise<string> {
  const run = await system.reconcile();
  expect(await system.hurryToRun(run, isClosed)).toMatchObject({
    status: 'FAILED',
    errorCode: 'DV_FILE_LATE',
  });
  return run;
}

/** The run ends in sync; DICT makes every file that is asked for. */
async function endsInSync(system: System, run: string): Promise<void> {
  const closed = await system.hurryToRun(run, (now) => {
    system.passAtDict(16 * MINUTE);
    return isClosed(now);
  });
  expect(closed).toMatchObject({ status: 'COMPLETED', errorCode: null });
  await expectBaseLikeDict(system);
}

const polls = ({ state, claimedBy }: RunView) => state === 'poll_file' && claimedBy === null;

const filesAsked = (system: System) => system.dict.ledger.count('createCidSetFile');

describe('a file that came after its run had failed', () => {
  it('is used by the retry, without asking for another', async () => {
    const system = await startSystem(SLOW);
    const run = await lateRun(system);
    await pass(system, 16);
    await retryRun(system.pool, run, 'operator', 'the file is there now');
    await endsInSync(system, run);
    expect(filesAsked(system)).toBe(1);
    expect(await cidFiles(system.pool, run)).toEqual([{ round: 1, status: 'AVAILABLE', refused: null }]);
    expect(await reconciliation(system.pool, run)).toMatchObject({ outcome: 'COMPLETED', rounds: 2 });
  });

  it('is used by a new run of the same participant and key type, and only by one', async () => {
    const system = await startSystem({ ...SLOW, keyTypes: ['CPF', 'EMAIL'] });
    const first = await lateRun(system);
    await pass(system, 16);
    const second = await system.reconcile('CPF');
    const other = await system.reconcile('EMAIL');
    expect(await system.hurryToRun(second, isClosed)).toMatchObject({ status: 'COMPLETED' });
    await system.hurryToRun(other, (run) => polls(run) || isClosed(run));
    expect(filesAsked(system)).toBe(2);
    const { rows } = await system.pool.query(
      `select f.run_id as asked, r.run_id as used from dict.rounds r join dict.cid_files f on f.id = r.file_id
       where r.compared_at is not null`,
    );
    expect(rows).toEqual([{ asked: first, used: second }]);
  });

  it('is waited for while DICT is making it', async () => {
    const system = await startSystem(SLOW);
    const run = await lateRun(system);
    await pass(system, 5);
    await retryRun(system.pool, run, 'operator', 'too early');
    const { waitsFor } = await system.waitForRun(run, (now) => polls(now) && now.waitsFor !== null);
    expect(waitsFor).toBe('CID file 1 of DICT, which is PROCESSING');
    await endsInSync(system, run);
    expect(filesAsked(system)).toBe(1);
  });

  it('is waited for like one in PROCESSING when DICT gives it a status that is not known', async () => {
    const system = await startSystem(SLOW);
    system.dict.faults.on({ kind: 'file_status', status: 'QUEUED' });
    const run = await lateRun(system);
    expect(await cidFiles(system.pool, run)).toEqual([{ round: 1, status: 'QUEUED', refused: null }]);
    await pass(system, 5);
    await retryRun(system.pool, run, 'operator', 'too early');
    await system.waitForRun(run, (now) => polls(now) && now.waitsFor?.startsWith('CID file 1 ') === true);
    await endsInSync(system, run);
    expect(filesAsked(system)).toBe(1);
  });

  it('is looked at again when the next file is late too', async () => {
    const system = await startSystem(SLOW);
    // DICT says REQUESTED until a file is there, so a second one is asked for, and is ready after the first.
    system.dict.faults.on({ kind: 'file_status', status: 'REQUESTED' });
    const run = await lateRun(system);
    await pass(system, 5);
    await retryRun(system.pool, run, 'operator', 'too early');
    await system.waitForRun(run, polls);
    expect(filesAsked(system)).toBe(2);
    system.passAtDict(11 * MINUTE);
    expect(await system.hurryToRun(run, isClosed)).toMatchObject({ status: 'COMPLETED' });
    await expectBaseLikeDict(system);
    expect(filesAsked(system)).toBe(2);
    const { rows } = await system.pool.query(
      'select f.dict_id from dict.rounds r join dict.cid_files f on f.id = r.file_id where compared_at is not null',
    );
    expect(rows).toEqual([{ dict_id: '1' }]);
  });

  it('is not waited for when it is stuck, and another is asked for', async () => {
    const system = await startSystem(SLOW);
    system.dict.faults.on({ kind: 'file_stuck', times: 1 });
    const run = await lateRun(system);
    await retryRun(system.pool, run, 'operator', null);
    await endsInSync(system, run);
    expect(filesAsked(system)).toBe(2);
  });

  it.each([404, 403, 500] as const)('is left out when DICT answers %i for it', async (status) => {
    const system = await startSystem(SLOW);
    const run = await lateRun(system);
    const looks = system.dict.faults.on({ kind: 'problem', operation: 'getCidSetFile', status, times: 1 });
    await retryRun(system.pool, run, 'operator', null);
    await endsInSync(system, run);
    expect(looks.struck).toBe(1);
    expect(filesAsked(system)).toBe(2);
  });

  it('is not used when it is older than LATE_FILE_MAX_HOURS', async () => {
    const system = await startSystem({ ...SLOW, settings: { LATE_FILE_MAX_HOURS: '0.5' } });
    const run = await lateRun(system);
    await pass(system, 31);
    await retryRun(system.pool, run, 'operator', null);
    await endsInSync(system, run);
    expect(filesAsked(system)).toBe(2);
  });
});

test('nothing that changed on either side since the file was asked for is reverted by it', async () => {
  const system = await startSystem({
    ...SLOW,
    settings: { MANUAL_APPROVAL_THRESHOLD: '0' },
    // One true divergence of each kind.
    divergent: 3,
  });
  const run = await lateRun(system);
  await pass(system, 16);
  const same = system.entries.filter(({ key }) => system.local.some((entry) => entry.key === key)).slice(-6);
  const [changed, changedHere, removed, removedHere] = same.map(({ key }) => key);
  const directory = system.dict.directory;
  const NEW = { name: 'Zuleica Quintanilha', accountNumber: '00777001' };

  // Since DICT made the file, and before the round that uses it: on both sides …
  directory.updateEntry({ participant: ISPB, key: changed! }, NEW);
  await changeLocally(system.pool, changed!, NEW);
  directory.deleteEntry({ participant: ISPB, key: removed! });
  await removeLocally(system, removed!);
  const added = {
    ...same[5]!,
    key: '00000000191',
    taxIdNumber: '00000000191',
    requestId: crypto.randomUUID(),
  };
  directory.createEntry(added);
  await addLocally(system, added);
  // … and on ours only, with DICT to follow.
  await changeLocally(system.pool, changedHere!, NEW);
  await removeLocally(system, removedHere!);

  await retryRun(system.pool, run, 'operator', 'the file is there now');
  await system.hurryToRun(run, ({ status }) => status === 'WAITING');
  expect(filesAsked(system)).toBe(1);
  // Only what differed before the file was asked for is asked of a person.
  const untouched = new Set(same.map(({ key }) => key).concat(added.key));
  const found = await divergences(system.pool, run);
  const judged = found.filter(({ key }) => key !== null && untouched.has(key));
  expect(new Set(judged.map(({ decision }) => decision))).toEqual(new Set(['IN_FLIGHT']));
  expect(new Set(judged.map(({ key }) => key))).toEqual(
    new Set([changed, changedHere, removed, removedHere, added.key]),
  );
  expect(found.filter(({ decision }) => decision === 'PENDING')).toHaveLength(
    Object.values(system.plan.CPF).reduce((sum, n) => sum + n, system.plan.CPF.changed),
  );

  directory.updateEntry({ participant: ISPB, key: changedHere! }, NEW);
  directory.deleteEntry({ participant: ISPB, key: removedHere! });
  await system.pool.query(`select dict.approve_reconciliation($1, 'ana', 'fine')`, [run]);
  await endsInSync(system, run);
  const base = await localBase(system.pool);
  for (const key of [changed!, changedHere!]) expect(base.get(key)).toMatchObject(NEW);
  expect(base.has(removed!)).toBe(false);
  expect(base.has(added.key)).toBe(true);
  // No repair touched them, not even for a moment: their CIDs left by the changes above only.
  const { rows } = await system.pool.query(
    `select key, left_why from dict.cid_log where key = any ($1) and left_why like 'reconciliation%'`,
    [[...untouched]],
  );
  expect(rows).toEqual([]);
});

test.each([2, 30])('FILE_WAIT_MINUTES (%i) says how long a run waits, and it is shown', async (minutes) => {
  const system = await startSystem({ ...SLOW, settings: { FILE_WAIT_MINUTES: String(minutes) } });
  const run = await system.reconcile();
  const waiting = await system.waitForRun(
    run,
    (now) => polls(now) && now.waitsFor === 'CID file 1 of DICT, which is REQUESTED',
  );
  const { rows } = await system.pool.query<{ minutes: number; until: Date }>(
    `select extract(epoch from deadline - entered_at)::float8 / 60 as minutes, deadline as until
     from workflow.runs where id = $1`,
    [run],
  );
  expect(rows).toEqual([{ minutes, until: waiting.deadline }]);
  await system.advance(`${minutes - 1} minutes`);
  await system.waitForRun(run, (now) => polls(now) && now.wakeAt!.getTime() > waiting.wakeAt!.getTime());
  await system.advance('2 minutes');
  const failed = await system.waitForClosed(run);
  expect(failed).toMatchObject({ status: 'FAILED', errorCode: 'DV_FILE_LATE' });
  expect(failed.errorMessage).toContain(`within ${minutes} minutes`);
});

async function removeLocally({ pool }: System, key: string): Promise<void> {
  await pool.query('delete from dict.entries where participant = $1 and key = $2', [ISPB, key]);
}

async function addLocally({ pool }: System, entry: System['entries'][number]): Promise<void> {
  await pool.query(
    `insert into dict.entries (participant, key_type, key, request_id, owner_type, tax_id_number, name, trade_name, branch,
       account_number, account_type, opening_date)
     values ($1, 'CPF', $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
    [
      ISPB,
      entry.key,
      entry.requestId,
      entry.ownerType,
      entry.taxIdNumber,
      entry.name,
      entry.tradeName,
      entry.branch,
      entry.accountNumber,
      entry.accountType,
      entry.openingDate,
    ],
  );
}
