import { beforeAll, expect, test } from 'vitest';
import { bucketOf, vsyncOf, type BucketTable } from '../../../../src/dict/compare/buckets.ts';
import { compareCids, type LocalCids } from '../../../../src/dict/compare/compare.ts';
import { scanCidFile } from '../../../../src/dict/compare/scan.ts';
import { withLocalCids } from '../../../../src/dict/compare/local-cids.ts';
import { foldDeltas, readVSync, recalculateVSync } from '../../../../src/dict/vsync/vsync-store.ts';
import { useTestDatabase } from '../../../support/database.ts';
import { bucketsOf, cidOf, temporaryFolder } from './cid-files.ts';
import { ISPB, insert, keys } from '../entry/entries.ts';

const database = useTestDatabase();
const folder = temporaryFolder();

/** More than two pages of a listing; every third is removed. */
const ROWS = 66_000;
let cids: string[];

beforeAll(async () => {
  await database.pool.query(
    `insert into dict.entries (participant, key_type, key, request_id, owner_type, tax_id_number, name, account_number,
       account_type, removed_at)
     select $1, 'EVP', i::text, md5(i::text)::uuid, 'NATURAL_PERSON', '11122233300', 'João', '1', 'CACC',
       case when i % 3 = 0 then now() end
     from generate_series(1, $2::integer) i`,
    [ISPB, ROWS],
  );
  // Some in the buckets, some in deltas; and neighbours that must not appear.
  await database.pool.query('select dict.fold_vsync_deltas(1000)');
  await insert(database.pool, [...keys('EMAIL', 20), ...keys('EVP', 20, 1, '00000001')]);
  cids = await presentCids();
});

async function presentCids(): Promise<string[]> {
  const { rows } = await database.pool.query<{ cid: string }>(
    `select encode(cid, 'hex') as cid from dict.entries
     where participant = $1 and key_type = 'EVP' and removed_at is null order by cid`,
    [ISPB],
  );
  return rows.map(({ cid }) => cid);
}

const local = <T>(work: (local: LocalCids) => Promise<T>) => withLocalCids(database.pool, ISPB, 'EVP', work);

/** What a listing gives, in hex and in its order; and how many pages it came in. */
async function list(local: LocalCids, buckets: number[]): Promise<{ listed: string[]; pages: number }> {
  const pages: string[][] = [];
  for await (const page of local.list(buckets)) {
    const hex = page.toString('hex');
    pages.push(Array.from({ length: hex.length / 64 }, (_, i) => hex.slice(i * 64, i * 64 + 64)));
  }
  return { listed: pages.flat(), pages: pages.length };
}

const of = (buckets: number[], all = cids) => {
  const asked = new Set(buckets);
  return all.filter((hex) => asked.has(bucketOf(Buffer.from(hex, 'hex'))));
};

const everyBucket = Array.from({ length: 4096 }, (_, bucket) => bucket);

function expectTable(table: BucketTable, expected: string[]): void {
  const naive = bucketsOf(expected);
  expect(Buffer.compare(Buffer.from(table.counts.buffer), Buffer.from(naive.counts.buffer))).toBe(0);
  expect(Buffer.compare(table.xors, naive.xors)).toBe(0);
}

test('buckets equal those of a naive computation, folded or not', async () => {
  expect(cids).toHaveLength(ROWS - Math.floor(ROWS / 3));
  await local(async ({ buckets }) => expectTable(await buckets(), cids));
  await foldDeltas(database.pool);
  await local(async ({ buckets }) => {
    const table = await buckets();
    expectTable(table, cids);
    expect(vsyncOf(table).toHex()).toBe((await readVSync(database.pool, ISPB, 'EVP')).vsync);
  });
});

test.each([
  ['none', []],
  ['the first', [0]],
  ['the last', [4095]],
  ['both ends', [0, 4095]],
  ['neighbours and single ones', [0, 1, 2, 15, 16, 17, 255, 256, 1000, 4094, 4095]],
  ['every second', everyBucket.filter((bucket) => bucket % 2 === 1)],
  ['all', everyBucket],
  ['one, then more than a page', everyBucket.filter((bucket) => bucket !== 1)],
  ['more than a page, then as many', everyBucket.filter((bucket) => bucket !== 2048)],
])('it lists exactly the CIDs of the buckets asked for, ascending: %s', async (_, buckets) => {
  const { listed } = await local(async (local) => list(local, buckets));
  expect(listed).toEqual(of(buckets));
});

test('a listing comes in pages, whatever its length', async () => {
  expect((await local(async (local) => list(local, everyBucket))).pages).toBe(3);
});

test('it lists the right CIDs even when the counts are wrong', async () => {
  const set = 'update dict.vsync_buckets set count = count + $3 where participant = $1 and key_type = $2';
  await foldDeltas(database.pool);
  await database.pool.query(set, [ISPB, 'EVP', -10]);
  const buckets = everyBucket.filter((bucket) => bucket % 2000 !== 0);
  const { listed } = await local(async (local) => list(local, buckets));
  await database.pool.query(set, [ISPB, 'EVP', 10]);
  expect(listed).toEqual(of(buckets));
});

test('a participant without keys has empty buckets and an empty listing', async () => {
  await withLocalCids(database.pool, '99999999', 'EVP', async (local) => {
    expectTable(await local.buckets(), []);
    expect(await list(local, everyBucket)).toEqual({ listed: [], pages: 0 });
  });
});

test('buckets and listing are of one moment, though others write, fold and repair meanwhile', async () => {
  const client = await database.pool.connect();
  await client.query('begin');
  await local(async (local) => {
    expectTable(await local.buckets(), cids);
    await client.query("update dict.entries set name = 'Maria' where participant = $1 and key < '15'", [
      ISPB,
    ]);
    await client.query("delete from dict.entries where participant = $1 and key > '95'", [ISPB]);
    const pages = local.list(everyBucket)[Symbol.asyncIterator]();
    const first = await pages.next();
    await client.query('commit');
    await foldDeltas(database.pool);
    await recalculateVSync(database.pool, ISPB, 'EVP');
    expect(await presentCids()).not.toEqual(cids);
    const second = await pages.next();
    const third = await pages.next();
    const all = Buffer.concat([first.value, second.value, third.value] as Buffer[]).toString('hex');
    expect(all).toBe(cids.join(''));
    expectTable(await local.buckets(), cids);
  });
  client.release();
  cids = await presentCids();
  await local(async (local) => {
    expectTable(await local.buckets(), cids);
    expect((await list(local, everyBucket)).listed).toEqual(cids);
  });
});

test('a comparison with a file finds the naive difference of the sets', async () => {
  const kept = cids.filter((_, i) => i % 97 !== 0);
  const foreign = Array.from({ length: 500 }, (_, i) => cidOf(i));
  const path = await folder.write('compared.cids', [...kept, ...foreign].map((cid) => `${cid}\n`).join(''));
  const found: string[] = [];
  const comparison = await local(async (local) =>
    compareCids(
      { path, scan: await scanCidFile(path) },
      local,
      (batch) => {
        found.push(...batch.map(({ side, cid }) => `${cid.toString('hex')} ${side}`));
        return Promise.resolve();
      },
      { tempDir: folder.path, partitionLimit: 10_000 },
    ),
  );
  const localOnly = cids.filter((_, i) => i % 97 === 0);
  expect(found).toEqual(
    [...foreign.map((cid) => `${cid} DICT_ONLY`), ...localOnly.map((cid) => `${cid} LOCAL_ONLY`)].sort(),
  );
  expect(comparison).toMatchObject({
    dictOnly: 500,
    localOnly: localOnly.length,
    localCids: cids.length,
    vsyncLocal: (await readVSync(database.pool, ISPB, 'EVP')).vsync,
  });
});

test('an error of the work is passed on, and ends the snapshot', async () => {
  const failing = local(async (local) => {
    for await (const page of local.list(everyBucket)) throw new Error(`page of ${page.length}`);
  });
  await expect(failing).rejects.toThrow('page of 640000');
  await expect
    .poll(async () => {
      const { rows } = await database.pool.query<{ n: number }>(
        `select count(*)::int as n from pg_stat_activity
         where datname = current_database() and state like 'idle in transaction%'`,
      );
      return rows[0]!.n;
    })
    .toBe(0);
});
