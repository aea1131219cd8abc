// DICT refuses for ever to show one entry, by order of a court or under a fraud restriction: the rest is repaired.
import { expect, test } from 'vitest';
import { isClosed, startSystem } from '../../support/system.ts';

test.each([
  [400, 'EntryBlocked'],
  [400, 'EntryWithFraudRelatedRestriction'],
  [403, 'Forbidden'],
] as const)('%i %s for one CID', async (status, type) => {
  const system = await startSystem({ keysPerType: 30, divergent: 9 });
  const { key } = system.entries.find((entry) => !system.local.some((local) => local.key === entry.key))!;
  const { cid } = system.dict.directory.find(key)!;
  system.dict.faults.on({ kind: 'problem', operation: 'getEntryByCid', cid, status, type });
  const run = await system.reconcile();
  expect(await system.hurryToRun(run, isClosed)).toMatchObject({ status: 'COMPLETED_WITH_QUARANTINE' });
  const { rows } = await system.pool.query(
    "select count(*)::integer as n from dict.divergences where run_id = $1 and decision = 'PENDING'",
    [run],
  );
  expect(rows).toEqual([{ n: 0 }]);
});
