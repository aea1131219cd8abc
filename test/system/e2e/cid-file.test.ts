import { readdir } from 'node:fs/promises';
import { describe, expect, it, vi } from 'vitest';
import { historyOf, retryRun, type RunView } from '../../../src/engine/index.ts';
import { importEntries } from '../../../src/dict/key-base/import.ts';
import { type Fault, generateKeyBase } from '../../../src/simulator/index.ts';
import { cidFiles, expectBase, expectBaseLikeDict, received, reconciliation } from '../../support/inspect.ts';
import { isClosed, startSystem, type System, type SystemOptions } from '../../support/system.ts';
import { capturedLog } from '../../support/log.ts';

const BASE: SystemOptions = { keysPerType: 100, divergent: 6 };

/** Expects the run to end in sync, in that round, whatever DICT's files were like. */
async function endsInSync(system: System, run: string, rounds = 1): Promise<void> {
  expect(await system.hurryToRun(run, isClosed)).toMatchObject({ status: 'COMPLETED', errorCode: null });
  await expectBaseLikeDict(system);
  expect(await reconciliation(system.pool, run)).toMatchObject({ outcome: 'COMPLETED', rounds });
}

describe('a legal CID file is read', () => {
  it.each([
    ['upper case', { fault: { kind: 'file_upper_case' } }],
    ['CRLF', { fault: { kind: 'file_crlf' } }],
    ['no last newline', { fault: { kind: 'file_no_last_newline' } }],
  ] satisfies [string, { fault: Fault }][])('%s', async (_name, { fault }) => {
    const system = await startSystem(BASE);
    const armed = system.dict.faults.on(fault);
    const run = await system.reconcile();
    await endsInSync(system, run);
    expect(armed.struck).toBe(1);
    expect(await cidFiles(system.pool, run)).toEqual([{ round: 1, status: 'AVAILABLE', refused: null }]);
  });

  it('a CID that is listed twice is warned of and counted once', async () => {
    const { log, lines } = await capturedLog('info');
    const system = await startSystem({ ...BASE, log });
    system.dict.faults.on({ kind: 'file_duplicate_line' });
    const run = await system.reconcile();
    await endsInSync(system, run);
    const { rows } = await system.pool.query(
      'select file_cids, file_duplicates, dict_only_cids from dict.rounds',
    );
    const { dictOnly, changed } = system.plan.CPF;
    expect(rows).toEqual([
      { file_cids: '100', file_duplicates: '1', dict_only_cids: String(dictOnly + changed) },
    ]);
    const warning = lines().find(({ msg }) => msg === 'the CID file repeats CIDs; each CID counts once');
    expect(warning).toMatchObject({ level: 40, duplicates: 1, runId: run, keyType: 'CPF' });
  });
});

describe('an unusable CID file is refused as a whole, and another is requested', () => {
  it.each([
    ['wrong Sha256', 'file_wrong_sha256', 'AVAILABLE', 'DV_FILE_SHA256_WRONG'],
    ['wrong Bytes', 'file_wrong_bytes', 'AVAILABLE', 'DV_FILE_BYTES_WRONG'],
    ['truncated', 'file_truncated', 'AVAILABLE', 'DV_FILE_BYTES_WRONG'],
    ['a line that is not a CID', 'file_junk_line', 'AVAILABLE', 'DV_FILE_LINE_INVALID'],
    ['nothing behind its Url', 'file_gone', 'AVAILABLE', 'DV_DICT_NOT_FOUND'],
    ['ERROR', 'file_error', 'ERROR', null],
    ['UNAVAILABLE', 'file_unavailable', 'UNAVAILABLE', null],
  ] as const)('%s', async (_name, kind, status, refused) => {
    const system = await startSystem(BASE);
    system.dict.faults.on({ kind, times: 1 });
    const run = await system.reconcile();
    await endsInSync(system, run);
    expect(await cidFiles(system.pool, run)).toEqual([
      { round: 1, status, refused },
      { round: 1, status: 'AVAILABLE', refused: null },
    ]);
  });

  it.each([
    ['more bytes than announced', { kind: 'file_announces', bytes: 65 }, 'DV_FILE_BYTES_WRONG'],
    ['an absurd size', { kind: 'file_announces', bytes: 3_000_000_000 }, 'DV_FILE_TOO_LARGE'],
    ['made long before it was asked for', { kind: 'file_made_before', ageMs: 90_000_000 }, 'DV_FILE_TOO_OLD'],
  ] satisfies [string, Fault, string][])('%s', async (_name, fault, refused) => {
    const system = await startSystem(BASE);
    system.dict.faults.on({ ...fault, times: 1 });
    const run = await system.reconcile();
    await endsInSync(system, run);
    expect(await cidFiles(system.pool, run)).toEqual([
      { round: 1, status: 'AVAILABLE', refused },
      { round: 1, status: 'AVAILABLE', refused: null },
    ]);
    // What can be refused before the download is not downloaded.
    const downloads = refused === 'DV_FILE_BYTES_WRONG' ? 2 : 1;
    expect(system.dict.ledger.count('downloadCidSetFile')).toBe(downloads);
  });

  it('a file of zero bytes that has not the SHA-256 of nothing', async () => {
    const system = await startSystem(BASE);
    system.dict.faults.on({ kind: 'file_empty', times: 1 });
    system.dict.faults.on({ kind: 'file_wrong_sha256', times: 1 });
    const run = await system.reconcile();
    await endsInSync(system, run);
    expect(await cidFiles(system.pool, run)).toEqual([
      { round: 1, status: 'AVAILABLE', refused: 'DV_FILE_SHA256_WRONG' },
      { round: 1, status: 'AVAILABLE', refused: null },
    ]);
  });

  it.each([404, 410] as const)('it no longer exists (%i) when it is to be downloaded', async (status) => {
    const system = await startSystem(BASE);
    system.dict.faults.on({ kind: 'problem', operation: 'downloadCidSetFile', status, times: 1 });
    const run = await system.reconcile();
    await endsInSync(system, run);
    const code = status === 404 ? 'DV_DICT_NOT_FOUND' : 'DV_DICT_GONE';
    expect(await cidFiles(system.pool, run)).toEqual([
      { round: 1, status: 'AVAILABLE', refused: code },
      { round: 1, status: 'AVAILABLE', refused: null },
    ]);
  });

  it.each([
    ['file_error', null],
    ['file_wrong_sha256', 'DV_FILE_SHA256_WRONG'],
  ] as const)('three times, then it fails; a retry requests others (%s)', async (kind, refused) => {
    const system = await startSystem(BASE);
    const broken = system.dict.faults.on({ kind });
    const run = await system.reconcile();
    const failed = await system.waitForClosed(run);
    expect(failed).toMatchObject({
      status: 'FAILED',
      errorCode: 'DV_FILE_UNUSABLE',
      failedState: 'request_file',
    });
    const status = kind === 'file_error' ? 'ERROR' : 'AVAILABLE';
    const unusable = { round: 1, status, refused };
    expect(await cidFiles(system.pool, run)).toEqual([unusable, unusable, unusable]);
    expect(system.dict.ledger.count('createCidSetFile')).toBe(3);
    await expectBase(system, system.local);
    expect(await reconciliation(system.pool, run)).toMatchObject({
      outcome: 'FAILED',
      reason: expect.stringMatching(/^DV_FILE_UNUSABLE: /) as unknown,
      ended: true,
    });
    expect(await received(system.pool, run)).toEqual([
      'reconciliation.notification STARTED',
      'reconciliation.notification FAILED',
    ]);

    broken.off();
    await retryRun(system.pool, run, 'ana', null);
    await endsInSync(system, run, 2);
    expect(system.dict.ledger.count('createCidSetFile')).toBe(4);
  });
});

describe('a CID file of zero bytes', () => {
  it('is an empty set without any download', async () => {
    const system = await startSystem({ keysPerType: 0, local: () => [] });
    await importEntries(system.pool, [
      ...generateKeyBase({ participant: system.participant, keyTypes: ['CPF'], keysPerType: 3, seed: 5 }),
    ]);
    system.dict.faults.on({ kind: 'file_empty' });
    const run = await system.reconcile();
    await endsInSync(system, run);
    expect(system.dict.ledger.count('downloadCidSetFile')).toBe(0);
    expect(await cidFiles(system.pool, run)).toEqual([{ round: 1, status: 'AVAILABLE', refused: null }]);
  });
});

describe('a CID file that does not fit on the disk', () => {
  it('the error says what it needs and where, and nothing is downloaded', async () => {
    const system = await startSystem({ ...BASE, settings: { FILE_ALLOWED_MEGABYTES: '1000000' } });
    system.dict.faults.on({ kind: 'file_announces', bytes: 900_000_000_000, times: 1 });
    const run = await system.reconcile();
    const failed = await system.hurryToRun(run, isClosed);
    expect(failed).toMatchObject({ status: 'FAILED', errorCode: 'DV_DISK_FULL', failedState: 'download' });
    expect(failed.errorMessage).toMatch(
      /need 1,350,000 MB in TEMP_DIR, and the disk of \/.* has [\d,]+ MB free/,
    );
    expect(system.dict.ledger.count('downloadCidSetFile')).toBe(0);
    // The file is tried by two more runs, as after a disk has been freed; then another one is asked for.
    for (const times of [2, 3]) {
      expect(await system.hurryToRun(await system.reconcile(), isClosed)).toMatchObject({
        errorCode: 'DV_DISK_FULL',
      });
      const { rows } = await system.pool.query(
        'select count(distinct run_id)::integer as n from dict.rounds',
      );
      expect(rows).toEqual([{ n: times }]);
      expect(system.dict.ledger.count('createCidSetFile')).toBe(1);
    }
    await endsInSync(system, await system.reconcile());
    expect(system.dict.ledger.count('createCidSetFile')).toBe(2);
  });
});

describe('the files of a day are used up', () => {
  it('the run waits as long as it takes, says when it continues, and then continues', async () => {
    const { log, lines } = await capturedLog('warn');
    const system = await startSystem({ ...BASE, log });
    const limit = system.dict.faults.on({ kind: 'problem', operation: 'createCidSetFile', status: 429 });
    const run = await system.reconcile();
    const waiting = ({ state, claimedBy, wakeAt }: RunView) =>
      state === 'request_file' && claimedBy === null && wakeAt!.getTime() > Date.now() + 60_000;
    // Far more often than a step has attempts, and far longer than the hour in which a limit uses up none.
    for (let n = 1; n <= 8; n++) {
      const { wakeAt, waitsFor, errorCode } = await system.waitForRun(
        run,
        (now) => waiting(now) && limit.struck === n,
      );
      expect(errorCode).toBeNull();
      expect(waitsFor).toMatch(
        /^DICT's limit of CID files a day, which is used up; the run continues at 20\d\d-\d\d-\d\dT[\d:]{8}Z$/,
      );
      const said = Date.parse(waitsFor!.slice(-'2026-01-01T00:00:00Z'.length));
      expect(Math.abs(wakeAt!.getTime() - said)).toBeLessThan(2000);
      await system.advance('36 minutes 1 second');
    }
    const history = await historyOf(system.pool, run);
    const said = history.findLast(({ outcome }) => outcome === 'again');
    expect(said?.detail).toMatchObject({
      code: 'DV_DICT_RATE_LIMITED',
      continuesAt: expect.any(String) as string,
    });
    expect(lines().find(({ msg }) => msg === "DICT's limit is used up; the run waits for it")).toMatchObject({
      runId: run,
      continuesAt: expect.any(String) as string,
    });
    limit.off();
    await endsInSync(system, run);
    // The calls that DICT refused gave no file.
    expect(await cidFiles(system.pool, run)).toEqual([{ round: 1, status: 'AVAILABLE', refused: null }]);
  });
});

describe('a CID file that does not come', () => {
  it('the run waits 10 minutes, fails, is logged and published, and a retry requests another file', async () => {
    const system = await startSystem(BASE);
    const stuck = system.dict.faults.on({ kind: 'file_stuck' });
    const run = await system.reconcile();
    await system.waitForRun(run, ({ state, claimedBy }) => state === 'poll_file' && claimedBy === null);
    const polled = system.dict.ledger.count('getCidSetFile');
    await system.advance('9 minutes 50 seconds');
    await expect
      .poll(() => system.dict.ledger.count('getCidSetFile'), { interval: 15 })
      .toBeGreaterThan(polled);
    await system.waitForRun(run, ({ state, claimedBy }) => state === 'poll_file' && claimedBy === null);

    await system.advance('10 seconds');
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'FAILED', errorCode: 'DV_FILE_LATE' });
    expect(await reconciliation(system.pool, run)).toMatchObject({
      outcome: 'FAILED',
      reason: expect.stringMatching(/^DV_FILE_LATE: /) as unknown,
      ended: true,
    });
    expect(await received(system.pool, run)).toEqual([
      'reconciliation.notification STARTED',
      'reconciliation.notification FAILED',
    ]);
    await expectBase(system, system.local);

    // The file that got stuck is looked at first, and then another is asked for.
    stuck.off();
    await retryRun(system.pool, run, 'ana', 'asked DICT');
    await endsInSync(system, run, 2);
    expect(await cidFiles(system.pool, run)).toEqual([
      { round: 1, status: 'REQUESTED', refused: null },
      { round: 2, status: 'AVAILABLE', refused: null },
    ]);
    expect(await received(system.pool, run)).toEqual([
      'reconciliation.notification STARTED',
      'reconciliation.notification FAILED',
      'reconciliation.changes',
      'reconciliation.complete',
    ]);
  });

  it('it is polled after 1, 2, 4, … seconds, at most a minute apart', async () => {
    const system = await startSystem({ simulator: { fileGenerationMs: 10_000 } });
    const run = await system.reconcile();
    const waits = new Map<number, number>();
    await vi.waitFor(
      async () => {
        const { rows } = await system.pool.query<{ polls: number; wait: number }>(
          `select polls, extract(epoch from wake_at - updated_at)::float8 as wait from workflow.runs
           where id = $1 and state = 'poll_file' and claimed_by is null and polls > 0`,
          [run],
        );
        for (const { polls, wait } of rows) {
          if (!waits.has(polls)) await system.advance(`${wait} seconds`);
          waits.set(polls, wait);
        }
        expect(waits.has(8)).toBe(true);
      },
      { timeout: 10_000, interval: 15 },
    );
    for (const [polls, wait] of waits) {
      // After five polls the rate that all key types share comes first.
      if (polls <= 4) expect(wait).toBe(2 ** (polls - 1));
      expect(wait).toBeLessThanOrEqual(60);
    }
  });
});

describe('a download that breaks off', () => {
  it('it continues from where it was, however often it breaks off', async () => {
    const system = await startSystem(BASE);
    // Every call ends after 40 of the 100 lines: to get them all, each must continue where the last one ended.
    system.dict.faults.on({ kind: 'download_cut', operation: 'downloadCidSetFile', afterBytes: 40 * 65 });
    const run = await system.reconcile();
    await endsInSync(system, run);
    expect(system.dict.ledger.count('createCidSetFile')).toBe(1);
    expect(system.dict.ledger.count('downloadCidSetFile')).toBe(3);
    const failures = (await historyOf(system.pool, run)).filter(({ event }) => event === 'FAILED');
    expect(failures.map(({ state, error }) => `${state} ${error?.code}`)).toEqual(
      Array(3).fill('download DV_BRIDGE_UNAVAILABLE'),
    );
  });

  it('another service continues the download that the first one began', async () => {
    const system = await startSystem(BASE);
    const cut = system.dict.faults.on({
      kind: 'download_cut',
      operation: 'downloadCidSetFile',
      afterBytes: 40 * 65,
    });
    const run = await system.reconcile();
    await system.waitForRun(run, ({ errorCode, claimedBy }) => errorCode !== null && claimedBy === null);
    await system.restartService();
    await system.hurryToRun(run, () => system.dict.ledger.count('downloadCidSetFile') >= 2);
    cut.off();
    await endsInSync(system, run);
    expect(system.dict.ledger.count('createCidSetFile')).toBe(1);
  });
});

it('it leaves no temporary file behind, whether it succeeds or fails', async () => {
  const system = await startSystem({ ...BASE, keyTypes: ['CPF', 'EMAIL'] });
  system.dict.faults.on({ kind: 'file_junk_line', keyType: 'EMAIL' });
  const [good, bad] = [await system.reconcile('CPF'), await system.reconcile('EMAIL')];
  expect(await system.waitForClosed(good)).toMatchObject({ status: 'COMPLETED' });
  expect(await system.waitForClosed(bad)).toMatchObject({ status: 'FAILED' });
  expect(await readdir(system.tempDir)).toEqual([]);
});
