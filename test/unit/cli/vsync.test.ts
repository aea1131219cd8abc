import { beforeEach, describe, expect, it } from 'vitest';
import { computeCid } from '../../../src/dict/entry/cid.ts';
import { importEntries } from '../../../src/dict/key-base/import.ts';
import { VSync } from '../../../src/dict/vsync/vsync.ts';
import { generateKeyBase } from '../../../src/simulator/index.ts';
import { useTestDatabase } from '../../support/database.ts';
import { cli } from './support.ts';
import { ISPB } from '../../support/key-base.ts';

const database = useTestDatabase();
const base = [...generateKeyBase({ participant: ISPB, keyTypes: ['CPF', 'EVP'], keysPerType: 12, seed: 1 })];
const naive = (keyType: string) =>
  base
    .filter((entry) => entry.keyType === keyType)
    .reduce((xor, entry) => xor.xor(computeCid(entry)), VSync.empty())
    .toHex();

interface Row {
  participant: string;
  keyType: string;
  entries: number;
  vsync: string;
  keptVsync?: string;
  wasWrong?: boolean;
}

const vsync = (...flags: string[]) => cli(['vsync', ...flags], { env: { DATABASE_URL: database.url } });
const rowsOf = async (...flags: string[]) =>
  (await vsync('--json', ...flags)).json<{ vsyncs: Row[] }>().vsyncs;

describe('vsync', () => {
  beforeEach(async () => {
    await database.pool.query('truncate dict.entries, dict.vsync_deltas, dict.vsync_buckets');
  });

  it('it says so when there is nothing', async () => {
    expect(await vsync()).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('no keys yet') as string,
    });
    expect(await rowsOf()).toEqual([]);
  });

  it('it prints the five VSyncs with their counts', async () => {
    await importEntries(database.pool, base);
    const rows = await rowsOf();
    expect(rows.map(({ keyType }) => keyType)).toEqual(['CPF', 'CNPJ', 'PHONE', 'EMAIL', 'EVP']);
    expect(rows[0]).toEqual({ participant: ISPB, keyType: 'CPF', entries: 12, vsync: naive('CPF') });
    expect(rows[1]).toEqual({ participant: ISPB, keyType: 'CNPJ', entries: 0, vsync: '0'.repeat(64) });
    const text = (await vsync()).stdout.split('\n');
    expect(text[0]).toMatch(/^participant +key type +keys +VSync$/);
    expect(text[2]).toMatch(new RegExp(`^${ISPB} +CPF +12 +${naive('CPF')}$`));
  });

  it('it prints those of the requested participant', async () => {
    await importEntries(database.pool, base);
    const rows = await rowsOf('--participant', '87654321');
    expect(rows).toHaveLength(5);
    for (const row of rows) expect(row).toMatchObject({ participant: '87654321', entries: 0 });
  });

  it('it recalculates, and exits with 0 when all were right', async () => {
    await importEntries(database.pool, base);
    const checked = await vsync('--recalculate');
    expect(checked).toMatchObject({ exitCode: 0, stderr: '' });
    expect(checked.stdout).toContain('correct');
  });

  it('it recalculates, and repairs and reports a wrong kept VSync and exits with 1', async () => {
    await importEntries(database.pool, base);
    await database.pool.query(
      `delete from dict.vsync_deltas where ctid = (select min(ctid) from dict.vsync_deltas where key_type = 'EVP')`,
    );
    const wrong = await vsync('--recalculate', '--json');
    expect(wrong.exitCode).toBe(1);
    expect(wrong.stderr).toBe(
      `The stored VSync of ${ISPB} EVP was wrong and has been corrected. Find out who changed keys without the triggers.\n`,
    );
    const evp = wrong.json<{ vsyncs: Row[] }>().vsyncs.filter(({ wasWrong }) => wasWrong);
    expect(evp).toEqual([expect.objectContaining({ keyType: 'EVP', vsync: naive('EVP'), entries: 12 })]);
    expect(evp[0]?.keptVsync).not.toBe(naive('EVP'));
    expect(await vsync('--recalculate')).toMatchObject({ exitCode: 0 });
  });
});
