// DICT's event log answers 500 for one key type, for days: its reconciliations end by the CID file.
import { expect, test } from 'vitest';
import { isClosed, startSystem } from '../../support/system.ts';

test.each([['36'], ['0']])('the log fails, EVENT_LOG_MAX_HOURS=%s', async (hours) => {
  const system = await startSystem({
    keysPerType: 10,
    divergent: 3,
    settings: { EVENT_LOG_MAX_HOURS: hours },
  });
  system.dict.faults.on({ kind: 'problem', operation: 'listCidSetEvents', status: 500 });
  const run = await system.reconcile();
  expect(await system.hurryToRun(run, isClosed)).toMatchObject({ status: 'COMPLETED', errorCode: null });
});
