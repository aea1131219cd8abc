import { expect, test } from 'vitest';
import type { Entry } from '../../../src/dict/entry/entry.ts';
import { generateKeyBase } from '../../../src/simulator/index.ts';
import { cidFiles, divergences, expectBaseLikeDict, localBase } from '../../support/inspect.ts';
import { isClosed, ISPB, startSystem } from '../../support/system.ts';
import { capturedLog } from '../../support/log.ts';

const company: Entry = {
  ...[...generateKeyBase({ participant: ISPB, keyTypes: ['CNPJ'], keysPerType: 1, seed: 77 })][0]!,
  key: '12ABC34501DE35',
  taxIdNumber: '12ABC34501DE35',
};

test('entries with values that BACEN added, and a CNPJ with letters, are taken from DICT as they are', async () => {
  const system = await startSystem({ keyTypes: ['CNPJ'], keysPerType: 0 });
  system.dict.directory.seed([
    company,
    { ...company, key: '11222333000150', taxIdNumber: '11222333000150', requestId: crypto.randomUUID() },
    {
      ...company,
      key: 'AB',
      ownerType: 'FOREIGN_PERSON',
      accountType: 'PREPAID',
      requestId: crypto.randomUUID(),
    },
  ]);
  const run = await system.reconcile('CNPJ');
  expect(await system.hurryToRun(run, isClosed)).toMatchObject({ status: 'COMPLETED' });
  await expectBaseLikeDict(system);
  expect((await localBase(system.pool)).get(company.key)).toMatchObject({ taxIdNumber: company.key });
});

test('a file with a status that BACEN added is waited for, and the log names the status once', async () => {
  const { log, lines } = await capturedLog('info');
  const system = await startSystem({ keysPerType: 20, divergent: 3, log });
  const status = 'IN_QUEUE';
  const fault = system.dict.faults.on({
    kind: 'nonsense',
    operation: 'getCidSetFile',
    times: 3,
    change: (answer) => ({ ...answer, file: { ...(answer['file'] as object), status } }),
  });
  const run = await system.reconcile();
  expect(await system.hurryToRun(run, isClosed)).toMatchObject({ status: 'COMPLETED' });
  expect(fault.struck).toBe(3);
  expect(await cidFiles(system.pool, run)).toEqual([{ round: 1, status: 'AVAILABLE', refused: null }]);
  expect(lines().filter(({ fileStatus }) => fileStatus === status)).toMatchObject([
    { level: 40, runId: run },
  ]);
});

test.each([
  ['a key of 12,000 characters', { key: 'segredo'.repeat(1715) }],
  ['a name with a NUL character', { name: 'Segredo\0' }],
])('%s in DICT stops nothing, and no text of it is stored or logged', async (_, odd) => {
  const { log, text } = await capturedLog('debug');
  const system = await startSystem({ keysPerType: 20, local: (entries) => entries.slice(2), log });
  const [base] = [...generateKeyBase({ participant: ISPB, keyTypes: ['CPF'], keysPerType: 1, seed: 78 })];
  const { cid } = system.dict.directory.find(system.entries[0]!.key)!;
  system.dict.faults.on({
    kind: 'nonsense',
    operation: 'getEntryByCid',
    cid,
    change: (answer) => ({ ...answer, entry: { ...base!, ...odd } }),
  });
  const run = await system.reconcile();
  await system.hurryToRun(run, isClosed);
  expect((await localBase(system.pool)).has(system.entries[1]!.key)).toBe(true);
  const found = await divergences(system.pool, run);
  expect(found.filter(({ decision }) => decision === 'ADDED')).toHaveLength(1);
  expect(JSON.stringify(found) + text()).not.toMatch(/segredo/i);
});
