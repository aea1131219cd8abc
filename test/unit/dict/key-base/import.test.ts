import { beforeEach, expect, test } from 'vitest';
import { createPool } from '../../../../src/database/pool.ts';
import type { Entry } from '../../../../src/dict/entry/entry.ts';
import { importEntries } from '../../../../src/dict/key-base/import.ts';
import { generateKeyBase } from '../../../../src/simulator/index.ts';
import { useTestDatabase } from '../../../support/database.ts';
import { bacenEntry } from '../entry/bacen-entry.ts';
import {
  ISPB,
  asStored,
  forgetAll,
  insert,
  keptVSyncs,
  keys,
  naiveVSyncs,
  onConnection,
  stored,
  type StoredEntry,
} from '../entry/entries.ts';

const database = useTestDatabase();
const entries = keys('EMAIL', 20);

beforeEach(() => forgetAll(database.pool));

const byKey = (rows: readonly StoredEntry[]) =>
  Object.fromEntries(rows.map((row) => [`${row.keyType} ${row.key}`, row]));
const expected = (entries: readonly Entry[]) => byKey(entries.map(asStored));
const base = async () => byKey((await stored(database.pool)).filter(({ removed }) => !removed));

/** Whatever the import, the VSyncs stay right. */
async function imported(entries: AsyncIterable<Entry> | Iterable<Entry>) {
  const result = await importEntries(database.pool, entries);
  expect(await keptVSyncs(database.pool)).toEqual(await naiveVSyncs(database.pool));
  return result;
}

test('an empty base becomes what is imported; the second import changes nothing', async () => {
  expect(await imported(entries)).toEqual({ read: 20, changed: 20 });
  expect(await base()).toEqual(expected(entries));
  const rows = async () => (await database.pool.query('select xmin, * from dict.entries order by key')).rows;
  const before = await rows();
  expect(await imported(entries)).toEqual({ read: 20, changed: 0 });
  expect(await rows()).toEqual(before);
});

test('it is an upsert: changed ones change, removed ones come back, absent keys stay', async () => {
  const [changed, redated, removed, absent, same] = entries as [Entry, Entry, Entry, Entry, Entry];
  await insert(database.pool, [changed, redated, removed, absent, same]);
  await database.pool.query('update dict.entries set removed_at = now() where key = $1', [removed.key]);
  const fresh = entries[5]!;
  const given = [
    { ...changed, name: 'João Renomeado', requestId: fresh.requestId },
    { ...redated, openingDate: null },
    removed,
    same,
    fresh,
  ];
  expect(await imported(given)).toEqual({ read: 5, changed: 4 });
  expect(await base()).toEqual(expected([...given, absent]));
  const { rows } = await database.pool.query('select key, left_why from dict.cid_log order by id');
  expect(rows).toEqual([
    { key: removed.key, left_why: 'removed' },
    { key: changed.key, left_why: 'imported' },
  ]);
  const { rows: why } = await database.pool.query<{ key: string }>(
    "select key from dict.entries where changed_why = 'imported'",
  );
  expect(new Set(why.map(({ key }) => key))).toEqual(
    new Set([changed.key, redated.key, removed.key, fresh.key]),
  );
});

test('an import of nothing is accepted', async () => {
  expect(await imported([])).toEqual({ read: 0, changed: 0 });
});

test.each([499, 500, 501, 1000])('of %i entries all are imported, whatever the batches', async (count) => {
  expect(await imported(keys('EVP', count))).toEqual({ read: count, changed: count });
});

test('odd characters arrive byte by byte', async () => {
  const odd = [
    'João',
    'João'.normalize('NFD'),
    '\\',
    '\\.',
    '\\N',
    'N',
    '\\t',
    '\\x41',
    '\t',
    '\n',
    '\r\n',
    '\b\f\v',
    ' ',
    '',
    '"',
    "'",
    ',',
    '👩‍👧',
    '\u2028',
    '\ufeff',
    'é'.repeat(3000),
  ].map((text, i) => ({ ...bacenEntry, key: `${i} ${text}`, name: text, tradeName: text, branch: text }));
  const none = { ...bacenEntry, key: 'none', tradeName: null, branch: null };
  expect(await imported([...odd, none])).toEqual({ read: 22, changed: 22 });
  expect(await base()).toEqual(expected([...odd, none]));
});

test('a source that throws leaves everything as it was, and the connection usable', async () => {
  const pool = createPool(database.url, { max: 1 });
  await insert(pool, entries.slice(0, 3));
  const before = await stored(pool);
  async function* source() {
    yield* keys('EMAIL', 2000, 2);
    await Promise.resolve();
    throw new Error('line 2001 is bad');
  }
  await expect(importEntries(pool, source())).rejects.toThrow('line 2001 is bad');
  expect(await stored(pool)).toEqual(before);
  expect(await importEntries(pool, entries)).toEqual({ read: 20, changed: 17 });
  await pool.end();
});

test.each([
  ['a row that the table refuses', { ...entries[1]!, participant: '1234' }, '23514'],
  ['an invalid request id', { ...entries[1]!, requestId: 'x' }, '22P02'],
  ['a character that Postgres does not accept', { ...entries[1]!, name: 'a\0b' }, '22021'],
])('it imports all or nothing: %s', async (_, bad, code) => {
  await expect(importEntries(database.pool, [entries[0]!, bad, entries[2]!])).rejects.toMatchObject({ code });
  expect(await stored(database.pool)).toEqual([]);
  expect(await imported(entries)).toEqual({ read: 20, changed: 20 });
});

test('a key given twice is refused with both places, even when one of them changes nothing', async () => {
  await insert(database.pool, entries);
  const before = await stored(database.pool);
  const twice = [entries[3]!, entries[4]!, { ...entries[3]!, name: 'João Renomeado' }];
  const failing = importEntries(database.pool, twice);
  await expect(failing).rejects.toMatchObject({ code: 'DV_KEY_TWICE' });
  await expect(failing).rejects.toThrow('Line 3 has the same key as line 1');
  expect(await stored(database.pool)).toEqual(before);
});

test('it imports 50,000 entries of all five types, with progress', async () => {
  const keyTypes = ['CPF', 'CNPJ', 'PHONE', 'EMAIL', 'EVP'] as const;
  const progress: number[] = [];
  const many = () => generateKeyBase({ participant: ISPB, keyTypes, keysPerType: 10_000, seed: 8 });
  const result = await importEntries(database.pool, many(), (read) => progress.push(read));
  expect(result).toEqual({ read: 50_000, changed: 50_000 });
  expect(progress).toEqual([10_000, 20_000, 30_000, 40_000, 50_000]);
  expect(await keptVSyncs(database.pool)).toEqual(await naiveVSyncs(database.pool));
  expect(await base()).toEqual(expected([...many()]));
});

test('an import does not wait for a writer of other keys', async () => {
  await onConnection(database.pool, async (writer) => {
    await writer.query('begin');
    await insert(writer, keys('EMAIL', 5, 2));
    expect(await imported(entries)).toEqual({ read: 20, changed: 20 });
    await writer.query('commit');
  });
  expect(await keptVSyncs(database.pool)).toEqual(await naiveVSyncs(database.pool));
});
