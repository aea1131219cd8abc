import { Readable } from 'node:stream';
import fc from 'fast-check';
import { stringify } from 'csv-stringify/sync';
import { describe, expect, test } from 'vitest';
import { computeCid } from '../../../../src/dict/entry/cid.ts';
import {
  CID_CSV_COLUMNS,
  ENTRY_CSV_COLUMNS,
  ENTRY_CSV_FORMAT,
  readCidInputCsv,
  readEntriesCsv,
} from '../../../../src/dict/key-base/csv.ts';
import type { Entry } from '../../../../src/dict/entry/entry.ts';
import { bacenEntry } from '../entry/bacen-entry.ts';

const header = ENTRY_CSV_COLUMNS.join(',');
const id = 'a946d533-7f22-42a5-9a9b-e87cd55c0f4d';
const person = `12345678,PHONE,+5511987654321,${id},,11122233300,João Silva,,0001,0007654321,CACC,2010-01-10`;
const company = `12345678,EVP,123e4567-e89b-12d3-a456-426655440000,${id},,11222333000181,"Pães, ""Doces"" & Cia",Três,,1,TRAN,`;

/** In pieces of a few bytes, so that characters, quotes and CRLF are cut anywhere. */
function stream(text: string | Buffer, pieceBytes = 7): Readable {
  const bytes = Buffer.from(text as string);
  const pieces = Array.from({ length: Math.ceil(bytes.length / pieceBytes) }, (_, i) =>
    bytes.subarray(i * pieceBytes, (i + 1) * pieceBytes),
  );
  return Readable.from(pieces);
}

async function collect<T>(lines: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const line of lines) all.push(line);
  return all;
}

async function entries(text: string | Buffer, options?: { defaultParticipant?: string }) {
  return collect(readEntriesCsv(stream(text), options));
}

async function refusal(text: string | Buffer): Promise<unknown> {
  return entries(text).then(
    () => 'accepted',
    (error: unknown) => error,
  );
}

describe('readEntriesCsv', () => {
  test('it reads every column, with quotes, empty values as null, owner type by tax id, date by the day in Brasília', async () => {
    const [first, second] = await entries(`${header}\n${person}\n${company}\n`);
    expect(first).toEqual({
      line: 2,
      entry: { ...bacenEntry, requestId: id, branch: '0001', openingDate: '2010-01-10T00:00:00-03:00' },
    });
    expect(second).toEqual({
      line: 3,
      entry: expect.objectContaining({
        ownerType: 'LEGAL_PERSON',
        name: 'Pães, "Doces" & Cia',
        tradeName: 'Três',
        branch: null,
        openingDate: null,
      }) as Entry,
    });
  });

  test('BOM, CRLF, a missing last line end, empty lines and another order of columns change nothing', async () => {
    const plain = await entries(`${header}\n${person}\n`);
    const turned = (line: string) => line.split(',').toReversed().join(',');
    expect(await entries(`\uFEFF${header}\r\n${person}\r\n\r\n`)).toEqual(plain);
    expect(await entries(`\uFEFF${turned(header)}\r\n${turned(person)}`)).toEqual(plain);
  });

  test('the participant may come from the default, for a missing column or an empty value', async () => {
    const shorter = (line: string) => line.slice(line.indexOf(',') + 1);
    const options = { defaultParticipant: '00000001' };
    const [missing] = await entries(`${shorter(header)}\n${shorter(person)}`, options);
    const [empty] = await entries(`${header}\n,${shorter(person)}`, options);
    const [given] = await entries(`${header}\n${person}`, options);
    expect([missing, empty, given].map((line) => line?.entry.participant)).toEqual([
      '00000001',
      '00000001',
      '12345678',
    ]);
    expect(await refusal(`${shorter(header)}\n${shorter(person)}`)).toMatchObject({
      code: 'DV_CSV_COLUMNS',
      message: expect.stringContaining('missing: participant') as string,
    });
  });

  test('a header alone gives no entries', async () => {
    expect(await entries(`${header}\n`)).toEqual([]);
  });

  test.each([
    [
      'missing and unknown',
      `${header.replace('tax_id_number', 'cpf')}\n`,
      /missing: tax_id_number; unknown: cpf/,
    ],
    ['repeated', `${header},name\n`, /repeated: name/],
    ['an empty file', '', /does not name the columns/],
  ])('columns refused: %s', async (_what, text, message) => {
    expect(await refusal(text)).toMatchObject({
      code: 'DV_CSV_COLUMNS',
      message: expect.stringMatching(message) as string,
    });
  });

  test('without a header, the data in its place is not repeated', async () => {
    const error = await refusal(`${person}\n`);
    expect(error).toMatchObject({ code: 'DV_CSV_COLUMNS' });
    expect(String(error)).not.toMatch(/João|98765|111222/);
  });

  test.each([
    [
      'a value BACEN would refuse',
      `${company.replace('11222333000181', '1122233300018')},`.slice(0, -1),
      /tax_id_number: /,
    ],
    [
      'a CPF key with too few digits',
      person.replace('PHONE,+5511987654321', 'CPF,1112223330'),
      /key: .*11 digits/,
    ],
    ['too few values', '12345678,PHONE,+5511987654321', /exactly one value for each column/],
    ['too many values', `${person},João`, /exactly one value for each column/],
    ['a quote inside', person.replace('João', 'Jo"ão'), /quotes/],
    ['a quote never closed', person.replace('João', '"João'), /quotes/],
    ['a quote closed in the middle', person.replace('João', '"João"x'), /quotes/],
    ['a record without end', person.replace('João', `"${'João'.repeat(20_000)}`), /not closed/],
  ])('line 3 is refused: %s', async (_what, line, reason) => {
    const error = await refusal(`${header}\n${person}\n${line}\n`);
    expect(error).toMatchObject({
      code: 'DV_CSV_LINE_INVALID',
      message: expect.stringMatching(/^Line [34] /) as string,
    });
    expect(String(error)).toMatch(reason);
    expect(`${String(error)} ${JSON.stringify(error)} ${String((error as Error).cause)}`).not.toMatch(
      /João|987654|1112223|1122233|7654321/,
    );
  });

  test('Latin-1 is refused, not misread', async () => {
    expect(await refusal(Buffer.from(`${header}\n${person}\n`, 'latin1'))).toMatchObject({
      code: 'DV_CSV_ENCODING',
    });
    const cut = Buffer.from(`${header}\n${person}ã`).subarray(0, -1);
    expect(await refusal(cut)).toMatchObject({ code: 'DV_CSV_ENCODING' });
  });

  test("the stream's own error is passed on, and leaving early ends the stream", async () => {
    const broken = new Readable({ read: () => broken.destroy(new Error('disk gone')) });
    await expect(collect(readEntriesCsv(broken))).rejects.toThrow('disk gone');
    const source = stream(`${header}\n${`${person}\n`.repeat(2000)}`);
    for await (const { line } of readEntriesCsv(source)) if (line === 3) break;
    await expect.poll(() => source.destroyed).toBe(true);
  });

  test('memory stays flat: entries are read as they are taken', async () => {
    let given = 0;
    const endless = Readable.from(
      (function* () {
        yield Buffer.from(`${header}\n`);
        for (;;) {
          given++;
          yield Buffer.from(`${person}\n`);
        }
      })(),
    );
    let taken = 0;
    for await (const _ of readEntriesCsv(endless)) {
      if (++taken === 5000) break;
    }
    expect(given).toBeLessThan(taken + 2000);
  });
});

test('what is written is read back the same', async () => {
  const text = fc.string({
    unit: fc.constantFrom('a', 'é', ' ', ',', '"', "'", '&', ';'),
    minLength: 1,
    maxLength: 20,
  });
  const arbitrary = fc.record({
    name: text,
    tradeName: fc.option(text),
    branch: fc.option(fc.stringMatching(/^[0-9]{1,4}$/)),
    openingDate: fc.option(fc.constant('2010-01-10T03:00:00.000Z')),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(arbitrary, { maxLength: 5 }), async (changes) => {
      const base: Entry = { ...bacenEntry, ownerType: 'LEGAL_PERSON', taxIdNumber: '11222333000181' };
      const all = changes.map((change) => ({ ...base, ...change }));
      const read = await entries(stringify(all, ENTRY_CSV_FORMAT));
      expect(read.map(({ entry }) => entry)).toEqual(all);
    }),
    { numRuns: 50 },
  );
});

describe('readCidInputCsv', () => {
  const cidHeader = CID_CSV_COLUMNS.join(',');
  const { requestId } = bacenEntry;

  test("it reads BACEN's vector, which no validation would pass", async () => {
    const text = `${cidHeader}\n${requestId},PHONE,+5511987654321,11122233300,João Silva,,12345678,00001,0007654321,CACC\n`;
    const [first] = await collect(readCidInputCsv(stream(text)));
    expect(first?.line).toBe(2);
    expect(computeCid(first!.entry).toString('hex')).toBe(
      '28c06eb41c4dc9c3ae114831efcac7446c8747777fca8b145ecd31ff8480ae88',
    );
  });

  test('NFD stays NFD', async () => {
    const name = 'João'.normalize('NFD');
    const text = `${cidHeader}\n${requestId},PHONE,k,t,${name},,p,b,a,CACC\n`;
    const [first] = await collect(readCidInputCsv(stream(text)));
    expect(first?.entry.name).toBe(name);
  });

  test.each([
    [`x,PHONE,k,t,n,,p,b,a,CACC`, /Line 3 .*request_id: not a UUID/],
    [`${requestId},,k,t,n,,p,b,a,CACC`, /Line 3 .*key_type: empty/],
  ])('a bad line 3: %s', async (line, message) => {
    const good = `${requestId},PHONE,k,t,n,,p,b,a,CACC`;
    await expect(collect(readCidInputCsv(stream(`${cidHeader}\n${good}\n${line}`)))).rejects.toMatchObject({
      code: 'DV_CSV_LINE_INVALID',
      message: expect.stringMatching(message) as string,
    });
  });

  test("it refuses the key base's columns", async () => {
    await expect(collect(readCidInputCsv(stream(`${header}\n${person}`)))).rejects.toMatchObject({
      code: 'DV_CSV_COLUMNS',
    });
  });
});
