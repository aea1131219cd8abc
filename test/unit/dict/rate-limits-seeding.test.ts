import { Server, ServerCredentials } from '@grpc/grpc-js';
import { describe, expect, it, onTestFinished } from 'vitest';
import { connectBridge, type Bridge, type Policy } from '../../../src/bridge/index.ts';
import { limitedBridge, seedRateLimits } from '../../../src/dict/rate-limits/rate-limits.ts';
import type { SimulatedDict } from '../../../src/simulator/index.ts';
import { CALL, bridgeWithDict } from '../bridge/support.ts';
import { useRateLimits } from './rate-limits-support.ts';
import { ISPB } from './entry/entries.ts';

const { database, buckets, bucket } = useRateLimits();

/** A Bridge that offers no method: UNIMPLEMENTED. */
async function bareBridge(): Promise<{ bridge: Bridge; dict?: SimulatedDict }> {
  const server = new Server();
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  const bridge = connectBridge({ address: `127.0.0.1:${port}` });
  onTestFinished(() => {
    bridge.close();
    server.forceShutdown();
  });
  return { bridge };
}

/** A Bridge whose DICT lists these policies. */
function telling(bridge: Bridge, change: (policies: Policy[]) => Policy[]): Bridge {
  return {
    ...bound(bridge),
    listPolicies: async (request, call) => change(await bridge.listPolicies(request, call)),
  };
}

/** Its methods, callable separately. */
function bound(bridge: Bridge): Bridge {
  return {
    createSyncVerification: async (request, call) => bridge.createSyncVerification(request, call),
    createCidSetFile: async (request, call) => bridge.createCidSetFile(request, call),
    getCidSetFile: async (request, call) => bridge.getCidSetFile(request, call),
    downloadCidSetFile: (request, call) => bridge.downloadCidSetFile(request, call),
    listCidSetEvents: async (request, call) => bridge.listCidSetEvents(request, call),
    getEntryByCid: async (request, call) => bridge.getEntryByCid(request, call),
    createEntry: async (request, call) => bridge.createEntry(request, call),
    listPolicies: async (request, call) => bridge.listPolicies(request, call),
    close: () => bridge.close(),
  };
}

const BACEN: Record<string, [number, number, number]> = {
  CIDS_ENTRIES_READ: [1200, 60, 36_000],
  CIDS_EVENTS_LIST: [20, 60, 100],
  CIDS_FILES_READ: [10, 60, 50],
  CIDS_FILES_WRITE: [40, 86_400, 200],
  ENTRIES_WRITE: [1200, 60, 36_000],
  FILE_POLL: [5, 60, 5],
  SYNC_VERIFICATIONS_WRITE: [10, 60, 50],
};

describe('seeding the buckets', () => {
  it('they get the tokens that DICT says are left', async () => {
    const { bridge } = await bridgeWithDict();
    for (let i = 0; i < 7; i++) {
      await bridge.createSyncVerification({ participant: ISPB, keyType: 'CPF', vsync: '0'.repeat(64) }, CALL);
    }
    await seedRateLimits(database.pool, bridge, ISPB, CALL);
    const all = await buckets();
    expect(
      Object.fromEntries(
        Object.values(all).map(({ policy, refill, period, capacity }) => [
          policy,
          [refill, period, capacity],
        ]),
      ),
    ).toEqual(BACEN);
    expect(all['SYNC_VERIFICATIONS_WRITE']!.tokens).toBe(43);
    expect(all['CIDS_EVENTS_LIST']!.tokens).toBe(100);
  });

  it.each(['UNIMPLEMENTED', 'UNAVAILABLE', 'nonsense'])(
    "they get BACEN's published numbers when ListPolicies is %s",
    async (what) => {
      const { bridge, dict } = what === 'UNIMPLEMENTED' ? await bareBridge() : await bridgeWithDict();
      if (what === 'UNAVAILABLE')
        dict?.faults.on({ kind: 'problem', operation: 'listPolicies', status: 503 });
      if (what === 'nonsense') dict?.faults.on({ kind: 'nonsense', operation: 'listPolicies' });
      await seedRateLimits(database.pool, bridge, ISPB, CALL);
      expect(
        Object.fromEntries(
          Object.values(await buckets()).map((row) => [row.policy, [row.refill, row.period, row.capacity]]),
        ),
      ).toEqual(BACEN);
    },
  );

  it('seeding again brings known buckets up to what DICT says, but gives back no token that we have taken', async () => {
    const { bridge } = await bridgeWithDict();
    await seedRateLimits(database.pool, bridge, ISPB, CALL);
    const limited = limitedBridge(bridge, database.pool);
    for (let i = 0; i < 3; i++) {
      await limited.listCidSetEvents({ participant: ISPB, keyType: 'CPF' }, CALL);
    }
    await seedRateLimits(
      database.pool,
      telling(bridge, (policies) =>
        policies.map((policy) => ({ ...policy, availableTokens: policy.capacity, refillTokens: 33 })),
      ),
      ISPB,
      CALL,
    );
    expect(await bucket('CIDS_EVENTS_LIST')).toMatchObject({ tokens: 97, refill: 33 });
  });

  it('seeding again without an answer leaves them as they are', async () => {
    const { bridge } = await bridgeWithDict();
    await seedRateLimits(
      database.pool,
      telling(bridge, (policies) => policies.map((policy) => ({ ...policy, refillTokens: 33 }))),
      ISPB,
      CALL,
    );
    await seedRateLimits(database.pool, (await bareBridge()).bridge, ISPB, CALL);
    expect(await bucket('CIDS_EVENTS_LIST')).toMatchObject({ refill: 33 });
  });
});
