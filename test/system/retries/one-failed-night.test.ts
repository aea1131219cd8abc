import { expect, test } from 'vitest';
import { idle } from '../../support/idle.ts';
import { isClosed, startSystem } from '../../support/system.ts';

test.each([
  ['with a crontab', '0 3 * * * verification_schedule'],
  ['without a crontab', ''],
])(
  'after a night in which DICT was in maintenance an OK comes within 36 hours of the last one, %s',
  async (_, crontab) => {
    const system = await startSystem({ keysPerType: 3, crontab });
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
      await idle(system);
    }
    const { rows } = await system.pool.query(
      `select extract(epoch from workflow.now() - max(asked_at)) / 3600 < 12 as fresh
       from dict.sync_verifications where result = 'OK'`,
    );
    expect(rows).toEqual([{ fresh: true }]);
  },
);
