import { randomUUID } from 'node:crypto';
import { beforeEach, expect, test } from 'vitest';
import { completeSyncVerification, sendVSync } from '../../../../src/dict/vsync/sync-verification.ts';
import { readVSync } from '../../../../src/dict/vsync/vsync-store.ts';
import { useTestDatabase } from '../../../support/database.ts';
import { bridgeWithDict } from '../../bridge/support.ts';
import { ISPB, forgetAll, insert, keys } from '../entry/entries.ts';

const database = useTestDatabase();
const entries = keys('EMAIL', 5);
let asked: Parameters<typeof sendVSync>[2];

beforeEach(async () => {
  await forgetAll(database.pool);
  await insert(database.pool, entries);
  asked = {
    runId: randomUUID(),
    purpose: 'VERIFICATION',
    participant: ISPB,
    keyType: 'EMAIL',
    correlationId: 'ours',
    signal: AbortSignal.timeout(10_000),
  };
});

async function rows(): Promise<unknown[]> {
  const { rows } = await database.pool.query(
    `select purpose, vsync, entries::int, result, dict_id, correlation_id, error_code, answered_at >= asked_at as answered
     from dict.sync_verifications where run_id = $1 order by id`,
    [asked.runId],
  );
  return rows;
}

test('the VSync of the local base is sent, and the answer is written within the transaction of the step', async () => {
  const { bridge, dict } = await bridgeWithDict();
  dict.directory.seed(entries);
  const kept = await readVSync(database.pool, ISPB, 'EMAIL');
  const sent = await sendVSync(database.pool, bridge, asked);
  expect(sent).toMatchObject({ ...kept, answer: { result: 'OK' } });
  const intent = { purpose: 'VERIFICATION', vsync: kept.vsync, entries: 5 };
  expect(await rows()).toMatchObject([{ ...intent, result: null, answered: null }]);
  await completeSyncVerification(database.pool, sent);
  const { id: dict_id, correlationId: correlation_id } = sent.answer;
  expect(await rows()).toEqual([
    { ...intent, result: 'OK', dict_id, correlation_id, error_code: null, answered: true },
  ]);
  expect(correlation_id).toBe(dict.ledger.calls()[0]!.correlationId);
});

test('every request reads the VSync again', async () => {
  const { bridge, dict } = await bridgeWithDict();
  dict.directory.seed(keys('EMAIL', 6));
  expect((await sendVSync(database.pool, bridge, asked)).answer.result).toBe('NOK');
  await insert(database.pool, keys('EMAIL', 6).slice(5));
  expect((await sendVSync(database.pool, bridge, asked)).answer.result).toBe('OK');
});

test('without any key the VSync is sent as 64 zeros, and DICT agrees', async () => {
  const { bridge } = await bridgeWithDict();
  const sent = await sendVSync(database.pool, bridge, { ...asked, keyType: 'CPF', purpose: 'CONFIRMATION' });
  expect(sent).toMatchObject({ vsync: '0'.repeat(64), entries: 0, answer: { result: 'OK' } });
});

test('the intent is recorded before DICT is asked, and stays when no answer comes', async () => {
  const { bridge, dict } = await bridgeWithDict();
  dict.faults.on({ kind: 'hang' });
  const stop = new AbortController();
  const sending = sendVSync(database.pool, bridge, { ...asked, signal: stop.signal });
  const failing = expect(sending).rejects.toMatchObject({ code: 'DV_BRIDGE_CANCELLED' });
  await expect.poll(() => dict.ledger.count('createSyncVerification')).toBe(1);
  expect(await rows()).toMatchObject([{ entries: 5, result: null, answered: null }]);
  stop.abort();
  await failing;
  expect(await rows()).toMatchObject([{ entries: 5, result: 'ERROR', error_code: 'DV_BRIDGE_CANCELLED' }]);
});

test("an error is in the intent's row, with DICT's correlation id", async () => {
  const { bridge, dict } = await bridgeWithDict();
  dict.faults.on({ kind: 'problem', status: 500, times: 1 });
  await expect(sendVSync(database.pool, bridge, asked)).rejects.toMatchObject({ code: 'DV_DICT_INTERNAL' });
  const correlation_id = dict.ledger.calls()[0]!.correlationId;
  expect(await rows()).toMatchObject([
    { result: 'ERROR', error_code: 'DV_DICT_INTERNAL', dict_id: null, correlation_id, answered: true },
  ]);
});

test('sync_status shows the last answer and the last OK', async () => {
  const { bridge, dict } = await bridgeWithDict();
  dict.directory.seed(entries);
  await completeSyncVerification(database.pool, await sendVSync(database.pool, bridge, asked));
  dict.faults.on({ kind: 'problem', status: 403, times: 1 });
  await expect(sendVSync(database.pool, bridge, asked)).rejects.toMatchObject({ code: 'DV_DICT_FORBIDDEN' });
  const { rows } = await database.pool.query(
    `select last_result, last_ok_at < last_answered_at as ok_before, age_of_last_ok > '0' as aged
     from dict.sync_status where participant = $1 and key_type = 'EMAIL'`,
    [ISPB],
  );
  expect(rows).toEqual([{ last_result: 'ERROR', ok_before: true, aged: true }]);
});
