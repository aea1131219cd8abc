import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { minimumDivergence } from '../../../../src/dict/compare/buckets.ts';
import { compareCids, type CompareOptions, type LocalCids } from '../../../../src/dict/compare/compare.ts';
import type { Divergence } from '../../../../src/dict/compare/divergence-batch.ts';
import { scanCidFile } from '../../../../src/dict/compare/scan.ts';
import { VSync } from '../../../../src/dict/vsync/vsync.ts';
import { bucketsOf, cidOf, localCids, temporaryFolder } from './cid-files.ts';

const folder = temporaryFolder();
const cids = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => cidOf(from + i));
const tempDir = () => join(folder.path, 'temp');
const leftovers = () => readdir(tempDir()).catch(() => []);
const vsyncOf = (all: Iterable<string>) =>
  [...all].reduce((vsync, hex) => vsync.xor(Buffer.from(hex, 'hex')), VSync.empty()).toHex();

async function compare(text: string, local: LocalCids, options: Partial<CompareOptions> = {}) {
  const path = await folder.write('cids', text);
  const scan = await scanCidFile(path);
  const divergences: Divergence[] = [];
  const batches: number[] = [];
  const result = await compareCids(
    { path, scan },
    local,
    async (batch) => {
      await Promise.resolve();
      batches.push(batch.length);
      divergences.push(...batch);
    },
    { tempDir: tempDir(), ...options },
  );
  return {
    scan,
    result,
    batches,
    found: divergences.map(({ side, cid }) => `${side} ${cid.toString('hex')}`),
  };
}

/** The result computed with sets in memory. */
function naive(file: Set<string>, local: Set<string>) {
  const dictOnly = [...file].filter((hex) => !local.has(hex)).map((hex) => ({ hex, side: 'DICT_ONLY' }));
  const localOnly = [...local].filter((hex) => !file.has(hex)).map((hex) => ({ hex, side: 'LOCAL_ONLY' }));
  const all = [...dictOnly, ...localOnly].sort((a, b) => (a.hex < b.hex ? -1 : 1));
  return {
    dictOnly: dictOnly.length,
    localOnly: localOnly.length,
    found: all.map(({ side, hex }) => `${side} ${hex}`),
  };
}

const cases = fc.record({
  /** For each CID: how often the file has it, and whether the local base has it. */
  members: fc.array(fc.record({ copies: fc.constantFrom(0, 1, 1, 1, 2, 3), local: fc.boolean() }), {
    maxLength: 200,
  }),
  /** 0: both sides are alike, 100: as `members` says. */
  differencePercent: fc.nat({ max: 100 }),
  seed: fc.nat({ max: 50 }),
  upper: fc.boolean(),
  end: fc.constantFrom('\n', '\r\n'),
  lastEnd: fc.boolean(),
  partitionLimit: fc.constantFrom(1, 7, 60, 1_000_000),
  batchSize: fc.constantFrom(1, 3, 1000),
  localBatch: fc.constantFrom(1, 5, 1000),
});

test('it equals the naive set difference, for any two sets and any file', async () => {
  await fc.assert(
    fc.asyncProperty(cases, async ({ members, seed, upper, end, lastEnd, ...options }) => {
      const file: string[] = [];
      const localSet = new Set<string>();
      for (const [i, { copies, local }] of members.entries()) {
        const hex = cidOf(`${seed} ${i}`);
        const differs = i % 100 < options.differencePercent;
        for (let copy = 0; copy < copies; copy++) file.push(hex);
        if (differs ? local : copies > 0) localSet.add(hex);
      }
      // The file has no order: reverse it so that copies are far from each other.
      file.sort((a, b) => (a.slice(10) < b.slice(10) ? -1 : 1));
      const text = file.map((hex) => (upper ? hex.toUpperCase() : hex) + end).join('');
      const { result, found, scan, batches } = await compare(
        lastEnd ? text : text.trimEnd(),
        localCids(localSet, options.localBatch),
        options,
      );
      const fileSet = new Set(file);
      const expected = naive(fileSet, localSet);
      expect(found).toEqual(expected.found);
      expect(result).toEqual({
        dictOnly: expected.dictOnly,
        localOnly: expected.localOnly,
        duplicates: file.length - fileSet.size,
        fileCids: fileSet.size,
        localCids: localSet.size,
        vsyncFile: vsyncOf(fileSet),
        vsyncLocal: vsyncOf(localSet),
      });
      expect(Math.max(0, ...batches)).toBeLessThanOrEqual(options.batchSize);
      expect(minimumDivergence(scan, bucketsOf(localSet))).toBeLessThanOrEqual(
        found.length + result.duplicates,
      );
    }),
    { numRuns: 150 },
  );
  expect(await leftovers()).toEqual([]);
});

describe('buckets of thousands, partitioned and in one piece', () => {
  const shared = cids(0, 30_000);
  const onlyFile = cids(100_000, 110_000);
  const onlyLocal = cids(200_000, 215_000);
  const text = [...onlyFile, ...shared].join('\n');
  const local = new Set([...shared, ...onlyLocal]);

  test.each([2_000, 9_000, 1_000_000])('the result is the same with the limit %i', async (partitionLimit) => {
    const { result, found } = await compare(text, localCids(local, 1000), { partitionLimit });
    const expected = naive(new Set([...onlyFile, ...shared]), local);
    expect(found).toEqual(expected.found);
    expect(result).toMatchObject({ dictOnly: 10_000, localOnly: 15_000 });
    expect(await leftovers()).toEqual([]);
  });
});

test('CIDs that share all but their last bytes come out in order too', async () => {
  const alike = Array.from(
    { length: 300 },
    (_, i) => 'ab'.repeat(30) + ((i * 7919) % 65_536).toString(16).padStart(4, '0'),
  );
  const { found } = await compare(alike.join('\n'), localCids(new Set(), 10));
  expect(found).toEqual(naive(new Set(alike), new Set()).found);
});

test('only buckets that differ are listed, and none when nothing differs', async () => {
  const all = cids(0, 5000);
  const same = localCids(new Set(all), 100);
  const alike = await compare(all.join('\n'), same);
  expect([alike.found, same.listed]).toEqual([[], []]);
  expect(alike.result).toMatchObject({
    dictOnly: 0,
    localOnly: 0,
    duplicates: 0,
    fileCids: 5000,
    localCids: 5000,
  });

  const other = localCids(new Set(all.slice(1)), 100);
  const { found } = await compare(all.join('\n'), other);
  expect(found).toEqual([`DICT_ONLY ${all[0]}`]);
  expect(other.listed).toEqual([[Number.parseInt(all[0]!.slice(0, 3), 16)]]);
});

test('the minimum is known from the counts', async () => {
  const { scan } = await compare(cids(0, 1000).join('\n'), localCids(new Set(), 10));
  expect(minimumDivergence(scan, bucketsOf([]))).toBe(1000);
  expect(minimumDivergence(scan, bucketsOf(cids(0, 990)))).toBe(10);
  expect(minimumDivergence(scan, scan.buckets)).toBe(0);
});

describe('failures', () => {
  const all = cids(0, 3000);
  const text = all.join('\n');
  const options = { partitionLimit: 500, batchSize: 100 };
  const sourceEnds = (ended: string[]): LocalCids => ({
    buckets: () => Promise.resolve(bucketsOf([])),
    async *list() {
      try {
        for (let i = 0; ; i++)
          yield await Promise.resolve(Buffer.from(i.toString(16).padStart(64, '0'), 'hex'));
      } finally {
        ended.push('local');
      }
    },
  });

  async function failing(sink: () => Promise<void>, change: Partial<CompareOptions> = {}, content = text) {
    const path = await folder.write('failing', content);
    const scan = await scanCidFile(path);
    const ended: string[] = [];
    const error: unknown = await compareCids({ path, scan }, sourceEnds(ended), sink, {
      tempDir: tempDir(),
      ...options,
      ...change,
    }).catch((cause: unknown) => cause);
    return { error, ended };
  }

  test("the sink's error is passed on; no temporary file stays, and the local side is closed", async () => {
    const broken = new Error('no connection');
    const { error, ended } = await failing(() => Promise.reject(broken));
    expect(error).toBe(broken);
    expect(ended).toEqual(['local']);
    expect(await leftovers()).toEqual([]);
  });

  test("an abort ends it with the abort's reason, as cleanly", async () => {
    const controller = new AbortController();
    const reason = new Error('timed out');
    const { error, ended } = await failing(
      () => {
        controller.abort(reason);
        return Promise.resolve();
      },
      { signal: controller.signal },
    );
    expect(error).toBe(reason);
    expect(ended).toEqual(['local']);
    expect(await leftovers()).toEqual([]);
    expect((await failing(() => Promise.resolve(), { signal: AbortSignal.abort(reason) })).error).toBe(
      reason,
    );
  });

  const changes = {
    shorter: text.slice(0, -65),
    'with another CID': [...all.slice(1), cidOf('other')].join('\n'),
    'with more CIDs': [...all, ...all].join('\n'),
    'no CIDs any more': 'nonsense',
  };
  test.each(
    Object.entries(changes).flatMap((change) => [500, 1_000_000].map((limit) => [...change, limit] as const)),
  )('a file that changed since its scan is refused: %s', async (_what, changed, partitionLimit) => {
    const path = await folder.write('changing', text);
    const scan = await scanCidFile(path);
    await folder.write('changing', changed);
    const comparing = compareCids({ path, scan }, localCids(new Set(), 10), () => Promise.resolve(), {
      tempDir: tempDir(),
      partitionLimit,
    });
    await expect(comparing).rejects.toMatchObject({ code: 'DV_FILE_CHANGED', class: 'retryable' });
    expect(await leftovers()).toEqual([]);
  });

  test('a temporary folder that cannot be created is refused', async () => {
    const { error } = await failing(() => Promise.resolve(), { tempDir: await folder.write('a-file', '') });
    expect(error).toMatchObject({ code: 'DV_TEMP_FILE_FAILED', class: 'retryable' });
  });

  test.each([
    ['descending', [2, 1]],
    ['repeated', [1, 1]],
  ])('a local list that is %s is refused, not believed', async (_what, order) => {
    const hexes = order.map((n) => String(n).padStart(64, '0'));
    const local: LocalCids = {
      buckets: () => Promise.resolve(bucketsOf(hexes)),
      async *list() {
        for (const hex of hexes) yield await Promise.resolve(Buffer.from(hex, 'hex'));
      },
    };
    await expect(compare(randomBytes(32).toString('hex'), local)).rejects.toMatchObject({
      code: 'DV_CID_LIST_UNORDERED',
    });
  });
});
