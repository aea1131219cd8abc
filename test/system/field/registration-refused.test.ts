import { expect, test } from 'vitest';
import { divergences } from '../../support/inspect.ts';
import { isClosed, startSystem } from '../../support/system.ts';

test('what DICT refused to register is not removed by the next run, but by a person', async () => {
  const system = await startSystem({ keysPerType: 30, settings: { MANUAL_APPROVAL_THRESHOLD: '0' } });
  const { participant, key } = system.entries[0]!;
  system.dict.directory.deleteEntry({ participant, key });
  system.dict.faults.on({
    kind: 'problem',
    operation: 'createEntry',
    status: 400,
    type: 'EntryAlreadyExists',
  });
  const first = await system.reconcile();
  await system.hurryToRun(first, ({ status }) => status === 'WAITING');
  await system.pool.query(`select dict.register_local_only($1, null, 'ana', 'lost')`, [first]);
  await system.pool.query(`select dict.approve_reconciliation($1, 'ana', 'lost')`, [first]);
  expect(await system.hurryToRun(first, isClosed)).toMatchObject({ errorCode: 'DV_REGISTRATION_REFUSED' });

  const second = await system.reconcile();
  expect(await system.hurryToRun(second, isClosed)).toMatchObject({ status: 'COMPLETED_WITH_QUARANTINE' });
  expect(await divergences(system.pool, second)).toMatchObject([{ key, decision: 'UNSURE' }]);

  await system.pool.query(`select dict.remove_unsure($1, null, 'ana', 'another bank has it')`, [second]);
  const third = await system.reconcile();
  await system.hurryToRun(third, ({ status }) => status === 'WAITING');
  await system.pool.query(`select dict.approve_reconciliation($1, 'ana', 'another bank has it')`, [third]);
  expect(await system.hurryToRun(third, isClosed)).toMatchObject({ status: 'COMPLETED' });
  expect(await divergences(system.pool, third)).toMatchObject([{ key, decision: 'REMOVED' }]);
});
