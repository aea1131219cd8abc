import { randomBytes } from 'node:crypto';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DIVERGENCE_CSV_COLUMNS, divergencesCsv } from '../../../src/dict/log/divergence-csv.ts';
import type { Entry } from '../../../src/dict/entry/entry.ts';
import { openRound } from '../../../src/dict/log/reconciliation-log.ts';
import { forgetAll, keys } from '../../unit/dict/entry/entries.ts';
import { useTestDatabase } from '../../support/database.ts';
import { answered, cidOf, found, KEY_TYPE, openRun, seedLocal } from './support.ts';

const database = useTestDatabase();
const SINCE = '2026-01-01T15:00:00.000Z';

async function csvOf(runId: string, round?: number) {
  const parts: string[] = [];
  for await (const part of divergencesCsv(database.pool, runId, round)) parts.push(part);
  const text = parts.join('');
  const rows = parse(text, { columns: true, bom: true }) as unknown as Record<string, string>[];
  return { text, rows, parts };
}

/** The value of a cell, without the apostrophe before it. */
const said = (cell = '') => cell.replace(/^'/, '');

/** What a bank's customers might have registered, including formulas of a spreadsheet. */
const anyText = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
  fc
    .tuple(
      fc.constantFrom('=', '+', '-', '@', '\t', '\r', '\n', "'", '"', ',', '＝', '＋'),
      fc.constantFrom('1+1', 'HYPERLINK("http://x";"y")', "cmd|' /C calc'!A0", ''),
    )
    .map((parts) => parts.join('')),
);
// Postgres accepts neither NUL nor half of a surrogate pair.
const storable = anyText.filter((text) => !text.includes('\0') && text.isWellFormed());

test('what is written is read back, byte for byte, and no cell begins like a formula', async () => {
  const [one, two] = keys(KEY_TYPE, 2) as [Entry, Entry];
  await fc.assert(
    fc.asyncProperty(
      storable,
      storable,
      storable,
      fc.option(storable),
      async (key, name, branch, tradeName) => {
        const { pool } = database;
        const local: Entry = { ...one, key, name, branch, tradeName };
        const dict: Entry = { ...local, name: two.name, accountNumber: '0042' };
        await seedLocal(pool, [{ entry: local, since: SINCE }]);
        const run = await openRun(pool);
        await found(pool, run, [
          { cid: cidOf(local), side: 'LOCAL_ONLY', decision: 'PENDING' },
          { cid: cidOf(dict), side: 'DICT_ONLY', decision: 'PENDING' },
        ]);
        await answered(pool, run, dict);
        const { text, rows } = await csvOf(run.runId);
        expect(text.startsWith('\uFEFFround,side,')).toBe(true);
        expect(rows).toHaveLength(2);
        for (const row of rows) {
          expect(Object.keys(row)).toEqual(DIVERGENCE_CSV_COLUMNS);
          for (const cell of Object.values(row)) expect(cell).not.toMatch(/^[=+\-@\t\r\n＝＋－＠]/);
          const isLocal = row['side'] === 'LOCAL_ONLY';
          expect(
            Object.fromEntries(Object.entries(row).map(([column, cell]) => [column, said(cell)])),
          ).toMatchObject({
            round: '1',
            decision: 'PENDING',
            why: '',
            cid: cidOf(isLocal ? local : dict).toString('hex'),
            key,
            key_type: KEY_TYPE,
            branch,
            origin_time: isLocal ? SINCE : '',
            before_name: name,
            before_trade_name: tradeName ?? '',
            before_request_id: one.requestId,
            after_name: isLocal ? '' : two.name,
            after_account_number: isLocal ? '' : '0042',
          });
        }
      },
    ),
    { numRuns: 60 },
  );
});

test('a spreadsheet shows a formula as text', async () => {
  const { pool } = database;
  const [entry] = keys(KEY_TYPE, 1) as [Entry];
  const bad = { ...entry, name: '=HYPERLINK("http://evil";"click, here")' };
  await seedLocal(pool, [{ entry: bad, since: SINCE }]);
  const run = await openRun(pool);
  await found(pool, run, [{ cid: cidOf(bad), side: 'LOCAL_ONLY', decision: 'PENDING' }]);
  expect((await csvOf(run.runId)).text).toContain(`,"'=HYPERLINK(""http://evil"";""click, here"")",`);
});

test('with many rounds and pages each divergence comes once, in order; one round can be asked for alone', async () => {
  const { pool } = database;
  await forgetAll(pool);
  const run = await openRun(pool);
  const of = (n: number) =>
    Array.from(
      { length: n },
      () => ({ cid: randomBytes(32), side: 'DICT_ONLY', decision: 'PENDING' }) as const,
    );
  const [first, second] = [of(2000), of(1500)];
  await found(pool, run, first);
  const round = await openRound(pool, run.runId, 0);
  await found(pool, { runId: run.runId, round }, second);
  const hexes = (of_: readonly { cid: Buffer }[]) => of_.map(({ cid }) => cid.toString('hex')).sort();
  const all = await csvOf(run.runId);
  expect(all.rows.map(({ cid }) => cid)).toEqual([...hexes(first), ...hexes(second)]);
  expect(all.rows.map(({ round: r }) => r)).toEqual([...first.map(() => '1'), ...second.map(() => '2')]);
  expect((await csvOf(run.runId, 2)).rows.map(({ cid }) => cid)).toEqual(hexes(second));
  expect((await csvOf(run.runId, 1)).rows.map(({ cid }) => cid)).toEqual(hexes(first));
  // In parts, whatever the number: the header, then a thousand rows each.
  expect(Math.max(...all.parts.map((part) => part.split('\n').length))).toBe(1001);
});
