import { Server, ServerCredentials } from '@grpc/grpc-js';
import { expect, onTestFinished, test, vi } from 'vitest';
import { connectBridge } from '../../../src/bridge/index.ts';
import { serveBridge } from '../../../src/simulator/index.ts';
import type { Fault } from '../../../src/simulator/index.ts';
import { CALL, ISPB, bridgeWithDict, collect, failure, keys } from './support.ts';

const CID = 'a'.repeat(64);
const ask = { participant: ISPB, cid: CID };

test.each([
  [400, 'DV_DICT_BAD_REQUEST', 'not_retryable', 'BadRequest'],
  [403, 'DV_DICT_FORBIDDEN', 'not_retryable', 'Forbidden'],
  [404, 'DV_DICT_NOT_FOUND', 'not_retryable', 'NotFound'],
  [410, 'DV_DICT_GONE', 'not_retryable', 'Gone'],
  [429, 'DV_DICT_RATE_LIMITED', 'rate_limited', 'RateLimited'],
  [500, 'DV_DICT_INTERNAL', 'retryable', 'InternalServerError'],
  [503, 'DV_BRIDGE_UNAVAILABLE', 'retryable', 'ServiceUnavailable'],
] as const)(
  'DICT %i is %s, %s, in a unary call and in a download',
  async (status, code, errorClass, type) => {
    const { bridge, dict } = await bridgeWithDict();
    dict.faults.on({ kind: 'problem', status });
    const error = await failure(bridge.getEntryByCid(ask, CALL));
    expect(error).toMatchObject({ code, class: errorClass });
    expect(error.message).toContain(type);
    expect(error.correlationId).toBe(dict.ledger.calls('getEntryByCid')[0]!.correlationId);

    const download = bridge.downloadCidSetFile({ participant: ISPB, id: '1', offset: 0 }, CALL);
    const broken = await failure(collect(download));
    expect(broken).toMatchObject({ code, class: errorClass });
    expect(broken.correlationId).toBe(dict.ledger.calls('downloadCidSetFile')[0]!.correlationId);
  },
);

test('retry-after becomes the earliest time of the next attempt, when DICT sent it', async () => {
  const { bridge, dict } = await bridgeWithDict();
  const retryAt = async (fault: Fault) => {
    dict.faults.on({ ...fault, times: 1 });
    return (await failure(bridge.getEntryByCid(ask, CALL))).retryAt;
  };
  const before = Date.now();
  const unavailable = await retryAt({ kind: 'problem', status: 503, retryAfterSec: 90 });
  expect(unavailable!.getTime() - before).toBeGreaterThanOrEqual(90_000);
  expect(unavailable!.getTime() - Date.now()).toBeLessThanOrEqual(90_000);
  expect(await retryAt({ kind: 'problem', status: 429 })).toBeUndefined();
  const limited = await retryAt({ kind: 'problem', status: 429, retryAfterSec: 6 });
  expect(limited!.getTime() - before).toBeGreaterThanOrEqual(6_000);
});

test('a retry-after of hours is shortened to half an hour', async () => {
  const { bridge, dict } = await bridgeWithDict();
  dict.faults.on({ kind: 'problem', status: 503, retryAfterSec: 72_000 });
  const { retryAt } = await failure(bridge.getEntryByCid(ask, CALL));
  expect(retryAt!.getTime() - Date.now()).toBeGreaterThan(1_700_000);
  expect(retryAt!.getTime() - Date.now()).toBeLessThanOrEqual(1_800_000);
});

test('a bucket that is really empty is DV_DICT_RATE_LIMITED without a time', async () => {
  const { bridge } = await bridgeWithDict();
  const request = { participant: ISPB, keyType: 'CPF', vsync: '0'.repeat(64) } as const;
  const all = Array.from({ length: 50 }, () => bridge.createSyncVerification(request, CALL));
  expect(await Promise.all(all)).toHaveLength(50);
  const error = await failure(bridge.createSyncVerification(request, CALL));
  expect(error).toMatchObject({ code: 'DV_DICT_RATE_LIMITED', class: 'rate_limited', retryAt: undefined });
});

test('a refusal by DICT itself is mapped to the same errors', async () => {
  const { bridge, dict } = await bridgeWithDict({ participants: [ISPB] });
  const { code } = await failure(bridge.listPolicies({ participant: '87654321' }, CALL));
  expect(code).toBe('DV_DICT_FORBIDDEN');
  const gone = await failure(bridge.getEntryByCid(ask, CALL));
  expect(gone.code).toBe('DV_DICT_NOT_FOUND');
  const invalid = await failure(bridge.getEntryByCid({ participant: ISPB, cid: 'abc' }, CALL));
  expect(invalid.code).toBe('DV_DICT_BAD_REQUEST');

  const entry = keys('PHONE', 1)[0]!;
  dict.directory.createEntry(entry);
  const other = { ...entry, name: 'Outro Nome' };
  const used = await failure(bridge.createEntry({ entry: other, reason: 'RECONCILIATION' }, CALL));
  expect(used.code).toBe('DV_DICT_BAD_REQUEST');
  expect(used.message).toContain('RequestIdAlreadyUsed');
});

test('no error text contains what was sent', async () => {
  const { bridge } = await bridgeWithDict();
  const entry = { ...keys('CNPJ', 1)[0]!, name: 'Nome\u0007Ruim', key: '99999999999999' };
  const error = await failure(bridge.createEntry({ entry, reason: 'RECONCILIATION' }, CALL));
  expect(error.message).toContain('EntryInvalid');
  for (const secret of [entry.key, entry.name, entry.taxIdNumber, entry.accountNumber]) {
    expect(`${error.message}${String(error.cause)}`).not.toContain(secret);
  }
});

test('an answer that does not come in time is DV_BRIDGE_TIMEOUT', async () => {
  const { bridge, dict } = await bridgeWithDict();
  dict.faults.on({ kind: 'hang', operation: 'listPolicies' });
  const error = await failure(bridge.listPolicies({ participant: ISPB }, { ...CALL, timeoutMs: 100 }));
  expect(error).toMatchObject({ code: 'DV_BRIDGE_TIMEOUT', class: 'retryable' });
});

test("the client's own time limit applies when the call names none", async () => {
  const { bridge, dict } = await bridgeWithDict({}, { timeoutMs: 100 });
  dict.faults.on({ kind: 'delay', delayMs: 30_000 });
  const error = await failure(bridge.listPolicies({ participant: ISPB }, CALL));
  expect(error.code).toBe('DV_BRIDGE_TIMEOUT');
});

test('the signal ends a running call, and one that has not begun yet', async () => {
  const { bridge, dict } = await bridgeWithDict();
  dict.faults.on({ kind: 'hang' });
  const abort = new AbortController();
  const hanging = failure(bridge.listPolicies({ participant: ISPB }, { ...CALL, signal: abort.signal }));
  await vi.waitFor(() => expect(dict.ledger.count('listPolicies')).toBe(1));
  abort.abort();
  expect(await hanging).toMatchObject({ code: 'DV_BRIDGE_CANCELLED', class: 'retryable' });
  const late = await failure(bridge.listPolicies({ participant: ISPB }, { ...CALL, signal: abort.signal }));
  expect(late.code).toBe('DV_BRIDGE_CANCELLED');
  expect(dict.ledger.count('listPolicies')).toBe(1);
});

test('an unreachable Bridge is DV_BRIDGE_UNAVAILABLE, and is found again when it is back', async () => {
  const { bridge, dict, address, stop } = await bridgeWithDict();
  await bridge.listPolicies({ participant: ISPB }, CALL);
  await stop();
  const error = await failure(bridge.listPolicies({ participant: ISPB }, CALL));
  expect(error).toMatchObject({ code: 'DV_BRIDGE_UNAVAILABLE', class: 'retryable' });
  await vi.waitFor(async () => {
    const { message } = await failure(bridge.listPolicies({ participant: ISPB }, CALL));
    expect(message).toContain('ECONNREFUSED');
  });
  const again = await serveBridge(dict, { port: Number(address.split(':')[1]) });
  onTestFinished(again.stop);
  await vi.waitFor(() => bridge.listPolicies({ participant: ISPB }, CALL), { timeout: 5_000 });
});

test('closing the client ends its calls with a coded error', async () => {
  const { bridge, dict } = await bridgeWithDict();
  dict.faults.on({ kind: 'hang' });
  const hanging = failure(bridge.listPolicies({ participant: ISPB }, CALL));
  await vi.waitFor(() => expect(dict.ledger.count('listPolicies')).toBe(1));
  bridge.close();
  expect((await hanging).code).toBe('DV_BRIDGE_CANCELLED');
  expect((await failure(bridge.listPolicies({ participant: ISPB }, CALL))).code).toBe('DV_BRIDGE_CANCELLED');
  const download = bridge.downloadCidSetFile({ participant: ISPB, id: '1', offset: 0 }, CALL);
  expect((await failure(collect(download))).code).toBe('DV_BRIDGE_CANCELLED');
});

test('a Bridge without the method is DV_BRIDGE_UNIMPLEMENTED', async () => {
  const server = new Server();
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const bridge = connectBridge({ address: `127.0.0.1:${port}` });
  onTestFinished(() => {
    bridge.close();
    server.forceShutdown();
  });
  const error = await failure(bridge.listPolicies({ participant: ISPB }, CALL));
  expect(error).toMatchObject({ code: 'DV_BRIDGE_UNIMPLEMENTED', class: 'not_retryable' });
});
