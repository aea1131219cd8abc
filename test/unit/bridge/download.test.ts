import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { ServerWritableStream } from '@grpc/grpc-js';
import { expect, onTestFinished, test, vi } from 'vitest';
import { bridgeContract, connectBridge, readBridgeProto } from '../../../src/bridge/index.ts';
import type { Bridge } from '../../../src/bridge/index.ts';
import type { SimulatedDict } from '../../../src/simulator/index.ts';
import { CALL, ISPB, bridgeWithDict, collect, failure, keys } from './support.ts';

const KEYS = 8000;

async function availableFile(bridge: Bridge, dict: SimulatedDict) {
  dict.directory.seed(keys('EVP', KEYS));
  const { id } = await bridge.createCidSetFile({ participant: ISPB, keyType: 'EVP' }, CALL);
  await bridge.getCidSetFile({ participant: ISPB, id }, CALL);
  return { participant: ISPB, id, offset: 0 };
}

test('a download continues from the offset where another stopped', async () => {
  const { bridge, dict } = await bridgeWithDict();
  const file = await availableFile(bridge, dict);
  const whole = await collect(bridge.downloadCidSetFile(file, CALL));
  expect(whole).toHaveLength(65 * KEYS);

  dict.faults.on({ kind: 'download_cut', afterBytes: 200_001, times: 1 });
  const parts: Uint8Array[] = [];
  const broken = (async () => {
    for await (const chunk of bridge.downloadCidSetFile(file, CALL)) parts.push(chunk);
  })();
  expect((await failure(broken)).code).toBe('DV_BRIDGE_UNAVAILABLE');
  const got = Buffer.concat(parts);
  expect(got).toHaveLength(200_001);
  const rest = await collect(bridge.downloadCidSetFile({ ...file, offset: got.length }, CALL));
  expect(Buffer.concat([got, rest]).equals(whole)).toBe(true);
  expect(await collect(bridge.downloadCidSetFile({ ...file, offset: whole.length }, CALL))).toHaveLength(0);
});

test('a download that falls silent is DV_BRIDGE_TIMEOUT; the time its reader takes does not count', async () => {
  const { bridge, dict } = await bridgeWithDict();
  const file = await availableFile(bridge, dict);
  dict.faults.on({ kind: 'download_stall', afterBytes: 100_000, times: 1 });
  const call = { ...CALL, timeoutMs: 150 };
  let bytes = 0;
  const stalled = (async () => {
    for await (const chunk of bridge.downloadCidSetFile(file, call)) bytes += chunk.length;
  })();
  expect(await failure(stalled)).toMatchObject({ code: 'DV_BRIDGE_TIMEOUT', class: 'retryable' });
  expect(bytes).toBe(100_000);

  let chunks = 0;
  for await (const chunk of bridge.downloadCidSetFile(file, call)) {
    const since = Date.now();
    if (chunks++ === 0)
      await vi.waitFor(() => expect(Date.now() - since).toBeGreaterThan(2 * call.timeoutMs));
    bytes += chunk.length;
  }
  expect(bytes).toBe(100_000 + 65 * KEYS);
});

test('the signal ends a running download', async () => {
  const { bridge, dict } = await bridgeWithDict();
  const file = await availableFile(bridge, dict);
  dict.faults.on({ kind: 'download_stall', afterBytes: 100 });
  const abort = new AbortController();
  const reading = (async () => {
    for await (const _ of bridge.downloadCidSetFile(file, { ...CALL, signal: abort.signal })) abort.abort();
  })();
  expect((await failure(reading)).code).toBe('DV_BRIDGE_CANCELLED');
});

test('leaving the loop ends the call at the Bridge', async () => {
  const server = new Server();
  let cancelled = false;
  server.addService(bridgeContract(readBridgeProto()), {
    DownloadCidSetFile: (call: ServerWritableStream<object, object>) => {
      call.on('cancelled', () => (cancelled = true));
      call.write({ data: Buffer.from('one chunk, and no end') });
    },
  });
  const port = await new Promise<number>((resolve) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (_, bound) => resolve(bound));
  });
  const bridge = connectBridge({ address: `127.0.0.1:${port}` });
  onTestFinished(() => {
    bridge.close();
    server.forceShutdown();
  });
  const file = { participant: ISPB, id: '1', offset: 0 };
  for await (const _ of bridge.downloadCidSetFile(file, CALL)) break;
  await vi.waitFor(() => expect(cancelled).toBe(true));
});

test('a file not made yet is not found, one too old is gone, an offset beyond its end is refused', async () => {
  const { bridge, dict } = await bridgeWithDict();
  const file = await availableFile(bridge, dict);
  const code = async (request: typeof file) =>
    (await failure(collect(bridge.downloadCidSetFile(request, CALL)))).code;
  expect(await code({ ...file, offset: 65 * KEYS + 1 })).toBe('DV_DICT_BAD_REQUEST');
  expect(await code({ ...file, id: '99' })).toBe('DV_DICT_NOT_FOUND');
  expect(await code({ ...file, participant: '87654321' })).toBe('DV_DICT_FORBIDDEN');
  dict.faults.on({ kind: 'file_stuck', times: 1 });
  const stuck = await bridge.createCidSetFile({ participant: ISPB, keyType: 'EVP' }, CALL);
  expect(await code({ ...file, id: stuck.id })).toBe('DV_DICT_NOT_FOUND');
  for (let i = 0; i < 5; i++) {
    const { id } = await bridge.createCidSetFile({ participant: ISPB, keyType: 'EVP' }, CALL);
    await bridge.getCidSetFile({ participant: ISPB, id }, CALL);
  }
  expect(await code(file)).toBe('DV_DICT_GONE');
});
