import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { keys, oneTable } from '../../system/connected-tables/support.ts';
import { useTestDatabase } from '../../support/database.ts';
import { cli, expectRefusal } from './support.ts';

const database = useTestDatabase();
const [tables = '', mapping = ''] = oneTable.sql;
const connect = (args: string[], stdin = '') =>
  cli(['connect', ...args], { env: { DATABASE_URL: database.url }, stdin });
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dict-vsync-connect-'));
  await database.pool.query(tables);
  const [first, ...others] = keys('CPF', 5);
  await oneTable.write(database.pool, others);
  await oneTable.write(database.pool, [{ ...first!, requestId: '' }]);
});
afterAll(() => rm(folder, { recursive: true }));

it('it says so when nothing is connected', async () => {
  expect(await connect(['list'])).toMatchObject({
    exitCode: 0,
    stdout: expect.stringContaining('No source') as string,
  });
  expect((await connect(['rejects', '--json'])).json()).toEqual({ rejects: [] });
});

it('it refuses a file that does not exist, connects nothing or is wrong, and keeps nothing of it', async () => {
  expectRefusal(await connect(['add', join(folder, 'none.sql')]), 2, 'DV_FILE_UNREADABLE');
  expectRefusal(await connect(['add', '-'], 'create table bank.left_over ()'), 1, 'DV_SOURCE_INVALID');
  const wrong = await connect(['add', '-'], mapping.replace('person when', 'persona when'));
  expectRefusal(wrong, 1, 'DV_SOURCE_INVALID');
  expect(wrong.stderr).toContain('line 4');
  expectRefusal(
    await connect(['add', '-'], mapping.replace("bank.keys_of(bank.pix_keys)')", "bank.apply_dict')")),
    1,
    'DV_SOURCE_INVALID',
  );
  const { rows } = await database.pool.query(
    `select relname from pg_class where relnamespace = 'bank'::regnamespace and relname in ('left_over', 'dict_keys')`,
  );
  expect(rows).toEqual([]);
});

it('it adds and loads a mapping, lists it and its rejects, loads it again, and removes it', async () => {
  const file = join(folder, 'mapping.sql');
  await writeFile(file, mapping);
  const added = await connect(['add', file, '--json']);
  expect(added.exitCode).toBe(0);
  expect(added.json()).toEqual({
    sources: [
      {
        name: 'core',
        participants: null,
        view: 'bank.dict_keys',
        applyFunction: 'bank.apply_dict',
        tables: ['bank.pix_keys'],
        connectedAt: expect.any(String) as string,
        loadedAt: expect.any(String) as string,
        rejects: 1,
        queued: 0,
      },
    ],
  });
  expect((await connect(['list'])).stdout).toMatch(
    /^core +all +bank\.dict_keys +bank\.pix_keys +20\S+Z +1 +0$/m,
  );
  expect((await connect(['rejects'])).stdout).toMatch(
    /^core +12345678 +CPF +\d{11} +REQUEST_ID_MISSING +20\S+Z$/m,
  );
  expect((await connect(['rejects', '--source', 'other'])).stdout).toContain('can be used');
  // The unusable one is looked at again.
  expect((await connect(['load', 'core', '--json'])).json()).toEqual({ differed: 1 });
  expectRefusal(await connect(['add', file]), 1, 'DV_SOURCE_INVALID');
  expect((await connect(['remove', 'core', '--json'])).json()).toEqual({ removed: 'core' });
  expectRefusal(await connect(['remove', 'core']), 1, 'DV_SOURCE_UNKNOWN');
  expectRefusal(await connect(['load', 'core']), 1, 'DV_SOURCE_UNKNOWN');
});
