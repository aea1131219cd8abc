// One night in which DICT is in maintenance at 03:00 breaks the 36 hours for certain: nothing is tried again, no warning comes before.
// Run: copy this file into test/repro/ of a checkout, then `npx vitest run test/repro`. It fails as long as the fault is there.
import { expect, test } from 'vitest';
import { isClosed, startSystem } from '../../support/system.ts';

test('after a failed night an OK comes within 36 hours of the last one', async () => {
  const system = await startSystem({ keysPerType: 3, crontab: '0 3 * * * verification_schedule' });
  await system.waitForClosed(await system.verify());
  await system.advance('24 hours');
  const maintenance = system.dict.faults.on({
    kind: 'problem',
    status: 503,
    operation: 'createSyncVerification',
  });
  await system.hurryToRun(await system.verify(), isClosed);
  maintenance.off();
  for (let hour = 0; hour < 11; hour++) {
    await system.advance('1 hour');
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  const { rows } = await system.pool.query(
    "select extract(epoch from workflow.now() - max(asked_at)) / 3600 < 12 as fresh from dict.sync_verifications where result = 'OK'",
  );
  expect(rows).toEqual([{ fresh: true }]);
});
