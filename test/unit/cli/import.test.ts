import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'csv-stringify/sync';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ENTRY_CSV_FORMAT } from '../../../src/dict/key-base/csv.ts';
import type { Entry } from '../../../src/dict/entry/entry.ts';
import { KEY_TYPES } from '../../../src/dict/entry/key-type.ts';
import { generateKeyBase } from '../../../src/simulator/index.ts';
import { useTestDatabase } from '../../support/database.ts';
import { cli, type Ended, expectRefusal } from './support.ts';
import { ISPB } from '../../support/key-base.ts';

const database = useTestDatabase();
let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dict-vsync-cli-'));
});
afterAll(() => rm(folder, { recursive: true }));

const base = [...generateKeyBase({ participant: ISPB, keyTypes: KEY_TYPES, keysPerType: 20, seed: 3 })];
const [one, two, three] = base as [Entry, Entry, Entry];

const csv = (entries: readonly Entry[]) => stringify([...entries], ENTRY_CSV_FORMAT);

async function importing(
  content: string,
  flags: string[] = [],
  env: Record<string, string> = {},
): Promise<Ended> {
  const file = join(folder, 'keys.csv');
  await writeFile(file, content);
  return cli(['import', file, ...flags], { env: { DATABASE_URL: database.url, ...env } });
}

async function present(): Promise<{ entries: number; deltas: number }> {
  const { rows } = await database.pool.query<{ entries: number; deltas: number }>(
    `select (select count(*)::integer from dict.entries) as entries,
       (select count(*)::integer from dict.vsync_deltas) as deltas`,
  );
  return rows[0]!;
}

describe('import of something wrong', () => {
  const bad = { ...two, accountNumber: 'abc' };
  const lines = csv([one, two]).split('\n');
  it.each([
    [
      'other columns',
      csv([one]).replace('request_id', 'id'),
      'DV_CSV_COLUMNS',
      'missing: request_id; unknown: id',
    ],
    ['a line too short', `${lines[0]}\n${lines[1]}\nx,y\n`, 'DV_CSV_LINE_INVALID', 'Line 3 '],
    ['an entry that BACEN would refuse', csv([one, bad, three]), 'DV_CSV_LINE_INVALID', 'Line 3 '],
    [
      'an unknown key type',
      csv([one, { ...two, keyType: 'RG' as 'CPF' }]),
      'DV_CSV_LINE_INVALID',
      'key_type: ',
    ],
    [
      'an ISPB of 7 digits',
      csv([one, { ...two, participant: '2345678' }]),
      'DV_CSV_LINE_INVALID',
      'participant: ',
    ],
    ['a key given twice', csv([one, two, three, two]), 'DV_KEY_TWICE', 'Line 5 has the same key as line 3'],
    [
      'a key given twice with different values',
      csv([one, { ...one, branch: '1' }]),
      'DV_KEY_TWICE',
      'Line 3 has the same key as line 2',
    ],
  ])('%s: nothing is imported', async (_what, content, code, sentence) => {
    const refused = await importing(content, ['--json']);
    expectRefusal(refused, 1, code);
    expect(refused.stderr).toContain(sentence);
    expect(refused.json()).toMatchObject({ error: { code } });
    for (const entry of [one, two, three]) expect(refused.stderr).not.toContain(entry.key);
    expect(await present()).toEqual({ entries: 0, deltas: 0 });
  });

  it('a file that does not exist, or is a directory, is refused', async () => {
    const env = { DATABASE_URL: database.url };
    expectRefusal(await cli(['import', join(folder, 'none.csv')], { env }), 2, 'DV_FILE_UNREADABLE');
    expectRefusal(await cli(['import', folder], { env }), 2, 'DV_FILE_UNREADABLE');
  });

  it('a connection lost during the import is reported', async () => {
    const content = Buffer.from(csv(base));
    async function* stdin() {
      yield content.subarray(0, 3000);
      await vi.waitFor(async () => {
        const { rowCount } = await database.pool.query(
          `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query ilike 'copy imported%'`,
        );
        expect(rowCount).toBe(1);
      });
      yield content.subarray(3000);
    }
    const env = { DATABASE_URL: database.url };
    expectRefusal(await cli(['import', '-'], { env, stdin: stdin() }), 1, 'DV_DATABASE_UNREACHABLE');
    expect(await present()).toEqual({ entries: 0, deltas: 0 });
  });

  it('lines without participant are refused when none or several are configured', async () => {
    const content = csv([one]).replace('participant,', '').replace(`${ISPB},`, '');
    expectRefusal(await importing(content), 1, 'DV_CSV_COLUMNS');
    expectRefusal(
      await importing(content, [], { PARTICIPANT_ISPB: `${ISPB},87654321` }),
      1,
      'DV_CSV_COLUMNS',
    );
    expect(await present()).toEqual({ entries: 0, deltas: 0 });
  });
});

describe('import', () => {
  it('it loads the keys, and folds what it changed in the VSyncs', async () => {
    const imported = await importing(csv(base), ['--json']);
    expect(imported).toMatchObject({ exitCode: 0, stderr: '' });
    expect(imported.json()).toEqual({ read: 100, changed: 100, seconds: expect.any(Number) as number });
    expect(await present()).toEqual({ entries: 100, deltas: 0 });
  });

  it('it is an upsert: keys that the file does not name stay', async () => {
    const imported = await importing(csv([one, { ...two, accountNumber: '1' }]));
    expect(imported.stdout).toMatch(/^2 keys read, 1 of them new or changed, in /);
    expect(await present()).toMatchObject({ entries: 100 });
  });

  it('it notices a key given twice even where the base already has it like that', async () => {
    expectRefusal(await importing(csv([one, one])), 1, 'DV_KEY_TWICE');
    expectRefusal(await importing(csv([three, { ...three, branch: '7' }])), 1, 'DV_KEY_TWICE');
  });

  it.each([
    ['--participant', ['--participant', '87654321'], {}],
    ['the one that is configured', [], { PARTICIPANT_ISPB: '87654321' }],
  ])(
    'it takes the participant of lines without one from %s',
    async (_what, flags, env: Record<string, string>) => {
      await database.pool.query('truncate dict.entries');
      const content = csv([one]).replace('participant,', '').replace(`${ISPB},`, '');
      expect(await importing(content, flags, env)).toMatchObject({ exitCode: 0 });
      const { rows } = await database.pool.query('select participant from dict.entries');
      expect(rows).toEqual([{ participant: '87654321' }]);
    },
  );

  it('it reads stdin', async () => {
    await database.pool.query('truncate dict.entries');
    const given = { env: { DATABASE_URL: database.url }, stdin: csv([one, two]) };
    expect((await cli(['import', '-', '--json'], given)).json()).toMatchObject({ read: 2, changed: 2 });
  });

  it('it takes what DICT has though it is unusual, and counts it in a warning without its content', async () => {
    await database.pool.query('truncate dict.entries');
    const company = { ...one, keyType: 'CNPJ' as const, ownerType: 'LEGAL_PERSON', tradeName: null };
    const of = (key: string) => ({ ...company, key, taxIdNumber: key, name: 'Padaria Exemplo Ltda' });
    const content = csv([
      of('12ABC34501DE35'),
      of('12ABC34501DE00'),
      {
        ...one,
        keyType: 'CPF',
        key: '11122233300',
        taxIdNumber: '11122233300',
        ownerType: 'NATURAL_PERSON',
        name: 'João Silva',
        tradeName: null,
        branch: '00001',
      },
      { ...two, ownerType: 'FOREIGN_PERSON', accountType: 'PPAY' },
    ]);
    const imported = await importing(content, ['--json']);
    expect(imported.json()).toMatchObject({
      read: 4,
      changed: 4,
      warnings: { wrongCheckDigits: 2, longBranches: 1, unknownTypes: 1 },
    });
    expect(imported.stderr).toMatch(/^Warning: 2 keys have a CPF or CNPJ with wrong check digits\./m);
    expect(imported.stderr).not.toMatch(/12ABC|1112223|Padaria|FOREIGN/);
    expect(await present()).toMatchObject({ entries: 4 });
  });

  it('it says of which participants no worker keeps the keys in sync, once it is known which are configured', async () => {
    await database.pool.query('truncate dict.entries');
    const content = csv([one, { ...two, participant: '87654321' }]);
    expect((await importing(content)).stderr).toBe('');
    expect((await importing(content, [], { PARTICIPANT_ISPB: ISPB })).stderr).toMatch(
      /^Warning: no worker keeps the keys of 87654321 in sync/,
    );
    await database.pool.query('insert into dict.participants (participant) values ($1)', ['87654321']);
    expect((await importing(content)).stderr).toMatch(`the keys of ${ISPB} in sync`);
    await database.pool.query('truncate dict.participants cascade');
  });
});
