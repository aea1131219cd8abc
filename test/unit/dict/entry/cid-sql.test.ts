import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bucketOf } from '../../../../src/dict/compare/buckets.ts';
import type { Entry } from '../../../../src/dict/entry/entry.ts';
import { KEY_TYPES } from '../../../../src/dict/entry/key-type.ts';
import { VSync } from '../../../../src/dict/vsync/vsync.ts';
import { useTestDatabase } from '../../../support/database.ts';
import { bacenEntry } from './bacen-entry.ts';
import { asStored, forgetAll, insert, stored } from './entries.ts';

const database = useTestDatabase();

test("the column has BACEN's own CID", async () => {
  await insert(database.pool, [bacenEntry]);
  expect((await stored(database.pool))[0]!.cid).toBe(
    '28c06eb41c4dc9c3ae114831efcac7446c8747777fca8b145ecd31ff8480ae88',
  );
  await forgetAll(database.pool);
});

test("XOR in SQL gives BACEN's own VSync", async () => {
  const { rows } = await database.pool.query<{ vsync: string }>(
    `select dict.hex(bit_xor(dict.bits(decode(cid, 'hex')))) as vsync from unnest($1::text[]) cid`,
    [
      [
        '28c06eb41c4dc9c3ae114831efcac7446c8747777fca8b145ecd31ff8480ae88',
        '4d4abb9168114e349672b934d16ed201a919cb49e28b7f66a240e62c92ee007f',
        'fce514f84f37934bc8aa0f861e4f7392273d71b9d18e8209d21e4192a7842058',
      ],
    ],
  );
  expect(rows[0]!.vsync).toBe('996fc1dd3b6b14bcf0c9fe8320eb66d7e2a3fd874ccf767b2e939641b1ea8eaf');
});

/** Text that a bank may have, or get by mistake; NUL is the one character that Postgres does not accept. */
const text = fc.oneof(
  fc.constantFrom(
    '',
    'João',
    'João'.normalize('NFD'),
    '\\',
    '\\x41',
    '\\101',
    "O'Hara",
    '"',
    '\\N',
    '\\.',
    '&',
  ),
  fc.constantFrom('👩‍👧 & Cia', '\t', '\r\n', 'a\\\tb', ' ', '\ufeff', '00001', 'é'.repeat(2000)),
  fc.string({ unit: 'binary', maxLength: 30 }).map((string) => string.replaceAll('\0', '')),
  fc.string({ unit: 'grapheme', maxLength: 150 }).map((string) => string.replaceAll('\0', '')),
);

const entry: fc.Arbitrary<Entry> = fc.record({
  participant: fc.constantFrom('00000000', '12345678', '99999999'),
  keyType: fc.constantFrom(...KEY_TYPES),
  key: text,
  requestId: fc.uuid(),
  ownerType: fc.constantFrom('NATURAL_PERSON', 'LEGAL_PERSON'),
  taxIdNumber: text,
  name: text,
  tradeName: fc.option(text),
  branch: fc.option(text),
  accountNumber: text,
  accountType: text,
  openingDate: fc.constant(null),
});

const entries = fc.uniqueArray(entry, {
  selector: ({ participant, keyType, key }) => [participant, keyType, key].join(' '),
  minLength: 1,
  maxLength: 40,
});

test('the column equals computeCid for any text, and gives each text back byte by byte', async () => {
  await fc.assert(
    fc.asyncProperty(entries, async (entries) => {
      await insert(database.pool, entries);
      expect(new Set(await stored(database.pool))).toEqual(new Set(entries.map(asStored)));
      await forgetAll(database.pool);
    }),
    { numRuns: 60 },
  );
});

test('null and an empty text, as trade name or branch, give the same CID', async () => {
  const bare = { ...bacenEntry, tradeName: null, branch: null };
  await insert(database.pool, [
    bare,
    { ...bare, key: '+5511987654322' },
    { ...bare, key: '+5511987654322', keyType: 'EVP' },
  ]);
  const { rows } = await database.pool.query<{ same: boolean }>(
    `select dict.cid(request_id, key_type, key, tax_id_number, name, '', participant, '', account_number, account_type)
       = cid as same from dict.entries`,
  );
  expect(rows).toEqual([{ same: true }, { same: true }, { same: true }]);
  expect(new Set((await stored(database.pool)).map(({ cid }) => cid)).size).toBe(3);
  await forgetAll(database.pool);
});

test('bucket, bits and hex equal those of the program', async () => {
  const bytes = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((array) => Buffer.from(array));
  await fc.assert(
    fc.asyncProperty(fc.array(bytes, { minLength: 1, maxLength: 50 }), async (cids) => {
      const { rows } = await database.pool.query<{ bucket: number; hex: string; xor: string }>(
        `select dict.bucket(cid) as bucket, dict.hex(dict.bits(cid)) as hex, dict.hex(bit_xor(dict.bits(cid)) over ()) as xor
         from unnest($1::bytea[]) with ordinality c (cid, n) order by n`,
        [cids],
      );
      const xor = cids.reduce((sum, cid) => sum.xor(cid), VSync.empty()).toHex();
      expect(rows).toEqual(cids.map((cid) => ({ bucket: bucketOf(cid), hex: cid.toString('hex'), xor })));
    }),
    { numRuns: 30 },
  );
});

test('Postgres knows the dependencies of the generated column, so that a dump can be restored', async () => {
  const { rows } = await database.pool.query<{ needs: string }>(
    `select refobjid::regprocedure::text as needs from pg_depend d
     where d.classid = 'pg_proc'::regclass and d.refclassid = 'pg_proc'::regclass
       and d.objid in (select oid from pg_proc where pronamespace = 'dict'::regnamespace and proname in ('cid', 'hmac_sha256'))
     order by 1`,
  );
  expect(rows.map(({ needs }) => needs)).toEqual([
    'dict.hmac(bytea,bytea,text)',
    'dict.hmac_sha256(bytea,bytea)',
  ]);
});
