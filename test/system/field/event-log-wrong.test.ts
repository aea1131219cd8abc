import { expect, test } from 'vitest';
import type { Fault } from '../../../src/simulator/index.ts';
import { expectBaseLikeDict } from '../../support/inspect.ts';
import { isClosed, startSystem } from '../../support/system.ts';

const operation = 'listCidSetEvents';
const faults: [string, Fault][] = [
  ['503', { kind: 'problem', operation, status: 503 }],
  ['403', { kind: 'problem', operation, status: 403 }],
  ['a wrong SyncVerifierEnd', { kind: 'nonsense', operation, as: 'log_wrong_verifier' }],
  ['a hole', { kind: 'nonsense', operation, as: 'log_hole' }],
];

test.each(faults)('with an event log that has %s, the repair is made by the file', async (_, fault) => {
  const system = await startSystem({ keysPerType: 30 });
  await system.hurryToRun(await system.verify(), isClosed);
  system.dict.faults.on(fault);
  for (const { participant, key } of system.entries.slice(0, 3)) {
    system.dict.directory.updateEntry({ participant, key }, { accountNumber: '00042' });
  }
  const [, , , gone] = system.entries;
  system.dict.directory.deleteEntry({ participant: gone!.participant, key: gone!.key });
  await system.advance('1 minute');
  const run = await system.reconcile();
  expect(await system.hurryToRun(run, isClosed)).toMatchObject({ status: 'COMPLETED', errorCode: null });
  await expectBaseLikeDict(system);
});
