import { describe, expect, test, vi } from 'vitest';
import { readRetries } from '../../../src/dict/vsync/retries.ts';
import type { KeyType } from '../../../src/dict/entry/key-type.ts';
import { listRuns, type RunView } from '../../../src/engine/index.ts';
import { cli } from '../../unit/cli/support.ts';
import { cidFiles } from '../../support/inspect.ts';
import { generateKeyBase } from '../../../src/simulator/index.ts';
import { computeCid } from '../../../src/dict/entry/cid.ts';
import { ISPB, isClosed, startSystem, type System } from '../../support/system.ts';

/** The runs that automatic retries started, oldest first. */
const retriesOf = async ({ pool }: System): Promise<RunView[]> =>
  (await listRuns(pool)).filter(({ startedBy }) => startedBy === 'retry').reverse();

/** The N-th automatic retry, when it has ended; time passes for the workflows until then. */
async function retried(system: System, number = 1): Promise<RunView> {
  const run = await vi.waitFor(
    async () => {
      const runs = await retriesOf(system);
      expect(runs.length, 'automatic retries').toBeGreaterThanOrEqual(number);
      return runs[number - 1]!;
    },
    { timeout: 20_000, interval: 50 },
  );
  return system.hurryToRun(run.id, isClosed);
}

/** Moves the clock to the moment at which the first automatic retry is due. */
async function toNextRetry(system: System): Promise<KeyType[]> {
  const retries = await readRetries(system.pool);
  expect(retries).not.toEqual([]);
  await system.pool.query(
    `select workflow.advance_clock(greatest(min(due_at) - workflow.now(), '0')) from dict.retries`,
  );
  return retries.map(({ keyType }) => keyType);
}

/** Expects that nothing is started before the next tick, however long it takes to come. */
async function expectNone(system: System): Promise<void> {
  const before = (await listRuns(system.pool)).length;
  await system.advance('40 hours');
  const { rows } = await system.pool.query('select * from dict.start_retries()');
  expect(rows).toEqual([]);
  expect(await readRetries(system.pool)).toEqual([]);
  expect(await listRuns(system.pool)).toHaveLength(before);
}

const TYPES = ['CPF', 'EVP'] as const;

describe('a verification without an answer', () => {
  test('is retried for the key types that it could not verify, and CLI and SQL say why', async () => {
    const system = await startSystem({ keysPerType: 3, keyTypes: TYPES });
    await system.startAnotherService();
    const outage = system.dict.faults.on({
      kind: 'problem',
      status: 503,
      operation: 'createSyncVerification',
      keyType: 'EVP',
    });
    const failed = await system.hurryToRun(await system.verify(), isClosed);
    expect(failed.status).toBe('FAILED');
    expect(await toNextRetry(system)).toEqual(['EVP']);
    const first = await retried(system);
    expect(first).toMatchObject({ status: 'FAILED', workflowKey: `verification:${system.participant}:EVP` });
    outage.off();
    const env = { DATABASE_URL: system.url };
    const began = failed.createdAt.toISOString();
    expect((await cli(['describe', first.id], { env })).stdout).toMatch(
      new RegExp(
        `\\nstarted +\\S+Z by retry\\nwhy +Automatic retry 1\\. The verification that began at ${began} got no answer: DV_BRIDGE_UNAVAILABLE\\.\\n`,
      ),
    );
    const listed = (await cli(['list'], { env })).stdout;
    expect(listed).toMatch(
      /^Automatic retry 2 of 12345678 EVP at \S+Z: The verification that began at \S+ got no answer: DV_BRIDGE_UNAVAILABLE\.$/m,
    );
    expect(listed).toContain('Z by retry ');
    expect((await cli(['list', '--json'], { env })).json<{ retries: unknown[] }>().retries).toEqual([
      expect.objectContaining({ participant: system.participant, keyType: 'EVP', retry: 2 }),
    ]);

    await toNextRetry(system);
    expect(await retried(system, 2)).toMatchObject({ status: 'COMPLETED' });
    await expectNone(system);
    expect(await retriesOf(system)).toHaveLength(2);
  });

  test('is retried by the next worker, if none runs when the retry is due', async () => {
    const system = await startSystem({ keysPerType: 3 });
    await system.stopBridge();
    await system.hurryToRun(await system.verify(), isClosed);
    await system.stopService();
    await toNextRetry(system);
    await system.restoreBridge();
    await system.restartService();
    expect(await retried(system)).toMatchObject({ status: 'COMPLETED' });
  });

  test('whose retry is still open at the next tick does not disturb the tick’s verification', async () => {
    const system = await startSystem({
      keysPerType: 3,
      keyTypes: TYPES,
      local: (entries) => entries.slice(1),
      crontab: '0 3 * * * verification_schedule',
    });
    const outage = system.dict.faults.on({
      kind: 'problem',
      status: 503,
      operation: 'createSyncVerification',
      keyType: 'CPF',
    });
    await system.hurryToRun(await system.verify(), isClosed);
    await toNextRetry(system);
    const retry = await vi.waitFor(async () => (await retriesOf(system))[0]!.id, { timeout: 20_000 });
    await system.waitForRun(retry, ({ errorCode }) => errorCode !== null);
    await system.pool.query(
      `select workflow.advance_clock(interval '1 day');
       select graphile_worker.add_job('verification_schedule', json_build_object('schedule', 'verification_schedule'))`,
    );
    outage.off();
    const all = `verification:${system.participant}:CNPJ,CPF,EMAIL,EVP,PHONE`;
    const nightly = await vi.waitFor(() => system.hurryToRun(all, isClosed), { timeout: 20_000 });
    await system.hurryToRun(retry, isClosed);
    await system.hurryToRun(`reconciliation:${system.participant}:CPF`, isClosed);
    // Perhaps both have found NOK before the repair. Of one key type only one reconciliation is open at a time.
    const repairs = await listRuns(system.pool, { machine: 'reconciliation' });
    expect(new Set(repairs.map(({ status }) => status))).toEqual(new Set(['COMPLETED']));
    expect(nightly.status).toBe('COMPLETED');
    await expectNone(system);
  });

  test('is not retried after a person has cancelled it, and never with RETRY_MINUTES=0', async () => {
    const system = await startSystem({ keysPerType: 3 });
    system.dict.faults.on({ kind: 'problem', status: 503, operation: 'createSyncVerification' });
    const run = await system.verify();
    await system.waitForRun(run, ({ errorCode }) => errorCode !== null);
    await system.pool.query('select workflow.cancel($1)', [run]);
    await system.waitForClosed(run);
    await expectNone(system);

    const off = await startSystem({ keysPerType: 3, settings: { RETRY_MINUTES: '0' } });
    off.dict.faults.on({ kind: 'problem', status: 503, operation: 'createSyncVerification' });
    await off.hurryToRun(await off.verify(), isClosed);
    await expectNone(off);
  });
});

describe('a reconciliation', () => {
  /** A system with one missing key, whose reconciliation has ended. */
  async function reconciled(
    fault: Parameters<System['dict']['faults']['on']>[0],
    options: Parameters<typeof startSystem>[0] = {},
  ) {
    const system = await startSystem({ keysPerType: 30, local: (entries) => entries.slice(1), ...options });
    const on = system.dict.faults.on(fault);
    await system.hurryToRun(await system.verify(), isClosed);
    const run = `reconciliation:${system.participant}:CPF`;
    return { system, on, run, ended: await system.hurryToRun(run, isClosed) };
  }

  test('whose file was late is retried, with its reason', async () => {
    const { system, on, run, ended } = await reconciled({ kind: 'file_stuck' });
    expect(ended).toMatchObject({ status: 'FAILED', errorCode: 'DV_FILE_LATE' });
    on.off();
    await toNextRetry(system);
    const retry = await retried(system);
    expect(retry).toMatchObject({ status: 'COMPLETED' });
    const again = await system.hurryToRun(run, isClosed);
    expect(again.id).not.toBe(ended.id);
    expect(again).toMatchObject({
      status: 'COMPLETED',
      parentId: retry.id,
      input: {
        reason: `Automatic retry 1. The reconciliation of CPF that began at ${ended.createdAt.toISOString()} failed: DV_FILE_LATE.`,
      },
    });
    await expectNone(system);
  });

  test('that failed because DICT refuses the participant is not retried', async () => {
    const { system, ended } = await reconciled({
      kind: 'problem',
      status: 403,
      operation: 'createCidSetFile',
    });
    expect(ended).toMatchObject({ status: 'FAILED', errorCode: 'DV_DICT_FORBIDDEN' });
    await expectNone(system);
  });

  test('that ended with a quarantine is not retried', async () => {
    const [entry] = generateKeyBase({ participant: ISPB, keyTypes: ['CPF'], keysPerType: 30, seed: 1 });
    const { system, ended } = await reconciled(
      {
        kind: 'problem',
        status: 500,
        operation: 'getEntryByCid',
        cid: computeCid(entry!).toString('hex'),
      },
      { local: (entries) => entries.slice(3) },
    );
    expect(ended.status).toBe('COMPLETED_WITH_QUARANTINE');
    await expectNone(system);
  });

  test('that a retry started asks for an approval again; nothing is started while it waits, nor after a rejection', async () => {
    const { system, on, run } = await reconciled(
      { kind: 'file_stuck' },
      { settings: { MANUAL_APPROVAL_THRESHOLD: '0' } },
    );
    on.off();
    await toNextRetry(system);
    await retried(system);
    const waiting = await system.hurryToRun(run, ({ status }) => status === 'WAITING');
    await expectNone(system);
    await system.pool.query('select dict.reject_reconciliation($1, $2, $3)', [waiting.id, 'a', 'b']);
    expect((await system.waitForClosed(waiting.id)).status).toBe('REJECTED');
    await expectNone(system);
  });

  test('is not started by a retry while only those CID files are left that the next tick may need', async () => {
    const { system, on, run, ended } = await reconciled({ kind: 'file_stuck' });
    on.off();
    await system.pool.query(
      `update dict.rate_limits set tokens = 15, refilled_at = workflow.now(), refill_period = '1000 days'
       where policy = 'CIDS_FILES_WRITE'`,
    );
    await toNextRetry(system);
    // DICT is asked, because an OK would need no file.
    expect(await retried(system)).toMatchObject({ status: 'COMPLETED' });
    expect((await listRuns(system.pool, { machine: 'reconciliation' })).map(({ id }) => id)).toEqual([
      ended.id,
    ]);
    expect((await readRetries(system.pool))[0]).toMatchObject({
      retry: 2,
      reason: expect.stringMatching(/found NOK and started no reconciliation\.$/) as string,
    });
    await system.pool.query(`update dict.rate_limits set tokens = 16 where policy = 'CIDS_FILES_WRITE'`);
    await toNextRetry(system);
    await retried(system, 2);
    const again = await system.hurryToRun(run, isClosed);
    expect(again.status).toBe('COMPLETED');
    expect(await cidFiles(system.pool, again.id)).toHaveLength(1);
  });
});
