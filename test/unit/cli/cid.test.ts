import { describe, expect, it } from 'vitest';
import { cli, expectRefusal } from './support.ts';

// BACEN's own vector (DICT API 2.6.1, "Cálculo de CID").
const CID = '28c06eb41c4dc9c3ae114831efcac7446c8747777fca8b145ecd31ff8480ae88';
const FLAGS = {
  'request-id': '01020304-0506-0708-090a-0b0c0d0e0f10',
  'key-type': 'PHONE',
  key: '+5511987654321',
  'tax-id': '11122233300',
  name: 'João Silva',
  participant: '12345678',
  branch: '00001',
  account: '0007654321',
  'account-type': 'CACC',
};
const HEADER = 'request_id,key_type,key,tax_id,name,trade_name,participant,branch,account,account_type';
const LINE =
  '01020304-0506-0708-090a-0b0c0d0e0f10,PHONE,+5511987654321,11122233300,João Silva,,12345678,00001,0007654321,CACC';

function flags(changes: Partial<Record<keyof typeof FLAGS | 'trade-name', string | null>> = {}): string[] {
  return Object.entries({ ...FLAGS, ...changes }).flatMap(([name, value]) =>
    value === null ? [] : [`--${name}`, value],
  );
}

describe('cid by flags', () => {
  it("it computes BACEN's vector", async () => {
    expect(await cli(['cid', ...flags()])).toEqual(
      expect.objectContaining({ exitCode: 0, stdout: `${CID}\n`, stderr: '' }),
    );
    expect((await cli(['cid', '--json', ...flags()])).json()).toEqual({ cid: CID });
  });

  it('it takes every byte as it is', async () => {
    const others = [
      { name: 'João Silva'.normalize('NFD') },
      { branch: '1' },
      { 'trade-name': 'x' },
      { branch: null },
    ];
    for (const other of others)
      expect((await cli(['cid', ...flags(other)])).stdout).toMatch(/^[0-9a-f]{64}\n$/);
    for (const other of others) expect((await cli(['cid', ...flags(other)])).stdout).not.toBe(`${CID}\n`);
  });

  it('it computes the CID of a key type that BACEN has not announced yet, with a note', async () => {
    const computed = await cli(['cid', ...flags({ 'key-type': 'NOVO' })]);
    expect(computed).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^[0-9a-f]{64}\n$/) as string,
    });
    expect(computed.stderr).toMatch(/^Note: BACEN does not have this key type/);
  });

  it('it names all missing flags', async () => {
    const refused = await cli(['cid', ...flags({ name: null, account: null })]);
    expectRefusal(refused, 2, 'DV_USAGE');
    expect(refused.stderr).toContain('--name, --account.');
  });

  it.each([
    ['request id', { 'request-id': '0102' }, 'DV_REQUEST_ID_INVALID'],
    ['ISPB without its zeros', { participant: '345678' }, 'DV_ISPB_INVALID'],
  ])('it refuses a wrong %s', async (_what, changes, code) => {
    expectRefusal(await cli(['cid', ...flags(changes)]), 2, code);
  });
});

describe('cid by CSV', () => {
  it("it computes BACEN's vector for each line", async () => {
    const stdin = `${HEADER}\n${LINE}\n${LINE.replace('0007654321', '7654321')}\n`;
    const lines = (await cli(['cid'], { stdin })).stdout.trimEnd().split('\n');
    expect(lines).toEqual([CID, expect.stringMatching(/^[0-9a-f]{64}$/)]);
    expect((await cli(['cid', '--json'], { stdin })).json()).toEqual({
      cids: [
        { line: 2, cid: CID },
        { line: 3, cid: lines[1] },
      ],
    });
  });

  it.each([
    ['other columns', `${HEADER},more\n${LINE},x\n`, 'DV_CSV_COLUMNS', 'unknown: more'],
    ['nothing at all', '', 'DV_CSV_COLUMNS', 'the first line'],
    ['a bad line 3', `${HEADER}\n${LINE}\n${LINE.slice(4)}\n`, 'DV_CSV_LINE_INVALID', 'Line 3 '],
    ['not UTF-8', Buffer.from(`${HEADER}\n${LINE}\n`, 'latin1'), 'DV_CSV_ENCODING', 'UTF-8'],
  ])('it refuses %s', async (_what, stdin, code, sentence) => {
    const refused = await cli(['cid', '--json'], { stdin });
    expectRefusal(refused, 1, code);
    expect(refused.stderr).toContain(sentence);
    expect(refused.json()).toMatchObject({ error: { code } });
    expect(refused.stderr).not.toContain('Silva');
  });
});
