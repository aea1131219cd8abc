import { beforeEach, expect, test } from 'vitest';
import { computeCid } from '../../../../src/dict/entry/cid.ts';
import { bucketOf } from '../../../../src/dict/compare/buckets.ts';
import type { Entry } from '../../../../src/dict/entry/entry.ts';
import { KEY_TYPES } from '../../../../src/dict/entry/key-type.ts';
import {
  configureParticipants,
  foldDeltas,
  readVSync,
  recalculateVSync,
  typesToScan,
} from '../../../../src/dict/vsync/vsync-store.ts';
import { useTestDatabase } from '../../../support/database.ts';
import {
  ISPB,
  forgetAll,
  insert,
  keptVSyncs,
  keys,
  naiveVSyncs,
  onConnection,
  someoneWaits,
} from '../entry/entries.ts';

const database = useTestDatabase();
const EMPTY = { entries: 0, vsync: '0'.repeat(64) };
const entries = keys('EMAIL', 40);

beforeEach(async () => {
  await forgetAll(database.pool);
  await insert(database.pool, entries);
});

/** Changes the key base without its triggers. */
async function behind(statement: string): Promise<void> {
  await onConnection(database.pool, async (client) => {
    await client.query(`begin; set local session_replication_role = replica; ${statement}; commit`);
  });
}

async function expectRight(): Promise<void> {
  expect(await keptVSyncs(database.pool)).toEqual(await naiveVSyncs(database.pool));
}

test('the empty set is 0 entries and 64 zeros, kept or recalculated', async () => {
  expect(await readVSync(database.pool, ISPB, 'CPF')).toEqual(EMPTY);
  expect(await recalculateVSync(database.pool, ISPB, 'CPF')).toEqual({
    ...EMPTY,
    keptVsync: EMPTY.vsync,
    repairedBuckets: 0,
  });
});

test('readVSync gives the count and XOR of one participant and key type only', async () => {
  await insert(database.pool, [...keys('CPF', 3), ...keys('EMAIL', 3, 2, '00000001')]);
  const { entries: count, vsync } = await readVSync(database.pool, ISPB, 'EMAIL');
  expect(`${count} ${vsync}`).toBe((await naiveVSyncs(database.pool))[`${ISPB} EMAIL`]);
  expect(count).toBe(40);
});

test.each([
  [
    'rows inserted',
    `insert into dict.entries (participant, key_type, key, request_id, owner_type, tax_id_number, name, account_number, account_type)
     select participant, key_type, 'x' || key, request_id, owner_type, tax_id_number, name, account_number, account_type
     from dict.entries limit 7`,
  ],
  ['contents changed', "update dict.entries set name = name || '!' where key < 'm'"],
  [
    'a key renamed',
    "update dict.entries set key = 'x' || key where key = (select min(key) from dict.entries)",
  ],
  ['removals', "update dict.entries set removed_at = now() where key > 'm'"],
  ['deletions', "delete from dict.entries where key > 'm'"],
  ['everything gone', 'delete from dict.entries'],
  ['buckets lost', 'delete from dict.vsync_buckets; delete from dict.vsync_deltas'],
  ['a wrong count beside the right XOR', 'update dict.vsync_deltas set count_change = count_change + 1'],
])('recalculation repairs %s without triggers, once', async (_, statement) => {
  await behind(statement);
  const kept = await readVSync(database.pool, ISPB, 'EMAIL');
  const naive = (await naiveVSyncs(database.pool))[`${ISPB} EMAIL`] ?? `0 ${EMPTY.vsync}`;
  expect(`${kept.entries} ${kept.vsync}`).not.toBe(naive);
  const scan = await recalculateVSync(database.pool, ISPB, 'EMAIL');
  expect(`${scan.entries} ${scan.vsync}`).toBe(naive);
  expect(scan.keptVsync).toBe(kept.vsync);
  expect(scan.repairedBuckets).toBeGreaterThan(0);
  await expectRight();
  expect(await recalculateVSync(database.pool, ISPB, 'EMAIL')).toMatchObject({ repairedBuckets: 0 });
  await foldDeltas(database.pool);
  await expectRight();
  const { rows } = await database.pool.query('select entries::int, repaired_buckets from dict.vsync_scans');
  expect(rows).toEqual([{ entries: scan.entries, repaired_buckets: 0 }]);
});

test('recalculation counts each wrong bucket, and only its own key type', async () => {
  await insert(database.pool, keys('CPF', 5));
  await behind(`update dict.entries set removed_at = now() where key_type = 'CPF'
    or key = (select min(key) from dict.entries where key_type = 'EMAIL')`);
  expect(await recalculateVSync(database.pool, ISPB, 'EMAIL')).toMatchObject({
    entries: 39,
    repairedBuckets: 1,
  });
  expect(await readVSync(database.pool, ISPB, 'CPF')).toMatchObject({ entries: 5 });
  expect(await recalculateVSync(database.pool, ISPB, 'CPF')).toMatchObject({ ...EMPTY, repairedBuckets: 5 });
});

test('it repairs what `alter table … disable trigger` let through', async () => {
  await database.pool.query('alter table dict.entries disable trigger entries_updated');
  await database.pool.query("update dict.entries set name = 'Another'");
  await database.pool.query('alter table dict.entries enable trigger entries_updated');
  expect((await recalculateVSync(database.pool, ISPB, 'EMAIL')).repairedBuckets).toBeGreaterThan(40);
  await expectRight();
});

test('writers that commit during a recalculation stay counted', async () => {
  await behind("update dict.entries set removed_at = now() where key > 'm'");
  const [before, during, after] = [keys('EMAIL', 3, 2), keys('EMAIL', 3, 3), keys('EMAIL', 3, 4)];
  await onConnection(database.pool, async (scanner) => {
    await onConnection(database.pool, async (writer) => {
      // One writer has begun before the scan and ends after it.
      await writer.query('begin');
      await insert(writer, before);
      await scanner.query('begin');
      const scan = await recalculateVSync(scanner, ISPB, 'EMAIL');
      expect(scan.repairedBuckets).toBeGreaterThan(0);
      await insert(database.pool, during);
      await database.pool.query('delete from dict.entries where key = $1', [entries[0]!.key]);
      await foldDeltas(database.pool, 5);
      await writer.query('commit');
      await scanner.query('commit');
      await insert(database.pool, after);
    });
  });
  await expectRight();
  expect(await recalculateVSync(database.pool, ISPB, 'EMAIL')).toMatchObject({ repairedBuckets: 0 });
});

test('a content whose new CID falls into the bucket of its old one counts, and is repaired, all the same', async () => {
  const [entry] = entries as [Entry];
  const bucket = bucketOf(computeCid(entry));
  const accountNumber = Array.from({ length: 100_000 }, (_, n) => String(n)).find(
    (accountNumber) => bucketOf(computeCid({ ...entry, accountNumber })) === bucket,
  );
  expect(accountNumber).toBeDefined();
  const set = (value: string) =>
    `update dict.entries set account_number = '${value}' where key = '${entry.key}'`;
  await database.pool.query(set(accountNumber!));
  await expectRight();
  await behind(set(entry.accountNumber));
  expect(await recalculateVSync(database.pool, ISPB, 'EMAIL')).toMatchObject({ repairedBuckets: 1 });
  await expectRight();
});

test('two simultaneous recalculations repair once', async () => {
  await behind("update dict.entries set removed_at = now() where key > 'm'");
  await onConnection(database.pool, async (first) => {
    await first.query('begin');
    expect((await recalculateVSync(first, ISPB, 'EMAIL')).repairedBuckets).toBeGreaterThan(0);
    let ended = false;
    const second = recalculateVSync(database.pool, ISPB, 'EMAIL').finally(() => {
      ended = true;
    });
    await expect.poll(async () => ended || (await someoneWaits(database.pool))).toBe(true);
    // A recalculation of another key type has nothing to wait for.
    await recalculateVSync(database.pool, ISPB, 'CPF');
    await first.query('commit');
    expect(await second).toMatchObject({ repairedBuckets: 0 });
  });
  await expectRight();
});

test('folding in batches of any size changes no VSync, empties the deltas and returns how many it took', async () => {
  await database.pool.query("update dict.entries set name = 'Another' where key > 'm'");
  const deltas = async () => Number((await database.pool.query('select from dict.vsync_deltas')).rowCount);
  const before = await keptVSyncs(database.pool);
  const all = await deltas();
  const { rows } = await database.pool.query<{ n: number }>('select dict.fold_vsync_deltas(3) as n');
  expect(rows).toEqual([{ n: 3 }]);
  expect(await deltas()).toBe(all - 3);
  expect(await keptVSyncs(database.pool)).toEqual(before);
  expect(await foldDeltas(database.pool, 4)).toBe(all - 3);
  expect(await deltas()).toBe(0);
  expect(await keptVSyncs(database.pool)).toEqual(before);
  expect(await foldDeltas(database.pool, 4)).toBe(0);
  await expectRight();
});

test('only one worker folds at a time, and a second one has nothing to do meanwhile', async () => {
  await onConnection(database.pool, async (client) => {
    await client.query('begin');
    await client.query('select dict.fold_vsync_deltas(3)');
    expect(await foldDeltas(database.pool)).toBe(0);
    await expectRight();
    await client.query('rollback');
  });
  expect(await foldDeltas(database.pool)).toBeGreaterThan(3);
  await expectRight();
});

test('typesToScan gives those never scanned or not scanned lately, in the order asked', async () => {
  const due = () => typesToScan(database.pool, ISPB, KEY_TYPES, 24);
  expect(await due()).toEqual(KEY_TYPES);
  await recalculateVSync(database.pool, ISPB, 'EMAIL');
  await recalculateVSync(database.pool, ISPB, 'CPF');
  await recalculateVSync(database.pool, '00000001', 'EVP');
  expect(await due()).toEqual(['CNPJ', 'PHONE', 'EVP']);
  await database.pool.query(
    "update dict.vsync_scans set scanned_at = scanned_at - interval '24 hours' where key_type = 'CPF'",
  );
  expect(await due()).toEqual(['CPF', 'CNPJ', 'PHONE', 'EVP']);
});

test('the configured participants are those of the last worker, and appear with empty VSyncs', async () => {
  await configureParticipants(database.pool, ['00000001', '00000002']);
  await configureParticipants(database.pool, ['00000002', '00000003']);
  const { rows } = await database.pool.query<{ participant: string }>(
    'select participant from dict.participants order by 1',
  );
  expect(rows.map(({ participant }) => participant)).toEqual(['00000002', '00000003']);
  const view = await database.pool.query<{ participant: string; n: number }>(
    'select participant, count(*)::int as n from dict.vsyncs group by 1 order by 1',
  );
  expect(view.rows).toEqual(
    ['00000002', '00000003', ISPB].map((participant) => ({ participant, n: KEY_TYPES.length })),
  );
});
