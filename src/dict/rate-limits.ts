import type { Bridge, CallOptions, Policy } from '../bridge/index.ts';
import { translated } from '../engine/index.ts';
import { DvError } from '../errors.ts';
import type { Db } from './vsync-store.ts';

const DAY = 86_400;

/** DICT API 2.6.1, "Limitação de requisições": what holds until ListPolicies says otherwise. */
const BACEN_POLICIES: readonly Policy[] = [
  ['SYNC_VERIFICATIONS_WRITE', 10, 60, 50],
  ['CIDS_FILES_WRITE', 40, DAY, 200],
  ['CIDS_FILES_READ', 10, 60, 50],
  ['CIDS_EVENTS_LIST', 20, 60, 100],
  ['CIDS_ENTRIES_READ', 1200, 60, 36_000],
  ['ENTRIES_WRITE', 1200, 60, 36_000],
].map(([name, refillTokens, refillPeriodSec, capacity]) => ({
  name: String(name),
  refillTokens: Number(refillTokens),
  refillPeriodSec: Number(refillPeriodSec),
  capacity: Number(capacity),
  availableTokens: Number(capacity),
}));

/** Our own pace for getCidSetFile: half a refill at once and half a period's worth a period, so never above DICT's 10 a minute. */
const FILE_POLL = 'FILE_POLL';

/**
 * Gives a participant its buckets: those DICT tells of (ListPolicies), else BACEN's published numbers. A Bridge
 * without ListPolicies, or one that fails now, is no error.
 */
export async function seedRateLimits(
  db: Db,
  bridge: Bridge,
  participant: string,
  call: CallOptions,
): Promise<void> {
  let policies = BACEN_POLICIES;
  let told = false;
  try {
    const known = new Set(BACEN_POLICIES.map(({ name }) => name));
    const listed = (await bridge.listPolicies({ participant }, call)).filter(({ name }) => known.has(name));
    if (listed.length > 0) [policies, told] = [listed, true];
  } catch (error) {
    if (!(error instanceof DvError)) throw error;
  }
  const files = policies.find(({ name }) => name === 'CIDS_FILES_READ');
  const half = Math.max(1, Math.floor((files?.refillTokens ?? 10) / 2));
  const poll: Policy = {
    name: FILE_POLL,
    capacity: half,
    refillTokens: half,
    refillPeriodSec: files?.refillPeriodSec ?? 60,
    availableTokens: half,
  };
  for (const { name, capacity, refillTokens, refillPeriodSec, availableTokens } of [...policies, poll]) {
    await db.query(`select dict.seed_rate_limit($1, $2, $3, $4, $5 * interval '1 second', $6, $7)`, [
      participant,
      name,
      capacity,
      refillTokens,
      refillPeriodSec,
      availableTokens,
      told,
    ]);
  }
}

/**
 * A Bridge that keeps to the participant's buckets, shared by all workers: each call takes its token first, in a
 * transaction of its own; without one it fails with DV_DICT_RATE_LIMITED and the time to try again. A 429 empties the
 * local bucket.
 */
export function limitedBridge(bridge: Bridge, db: Db): Bridge {
  const limited = async <T>(
    participant: string,
    policies: readonly string[],
    call: () => Promise<T>,
  ): Promise<T> => {
    for (const policy of policies) await takeToken(db, participant, policy);
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof DvError) || error.class !== 'rate_limited') throw error;
      const retryAt = await emptyBucket(db, participant, policies.at(-1) ?? '', error.retryAt);
      throw retryAt === undefined ? error : rateLimited(error.message, retryAt, error.correlationId);
    }
  };
  return {
    createSyncVerification: async (request, call) =>
      limited(request.participant, ['SYNC_VERIFICATIONS_WRITE'], async () =>
        bridge.createSyncVerification(request, call),
      ),
    createCidSetFile: async (request, call) =>
      limited(request.participant, ['CIDS_FILES_WRITE'], async () => bridge.createCidSetFile(request, call)),
    getCidSetFile: async (request, call) =>
      limited(request.participant, [FILE_POLL, 'CIDS_FILES_READ'], async () =>
        bridge.getCidSetFile(request, call),
      ),
    // The file itself comes from its Url: no bucket.
    downloadCidSetFile: (request, call) => bridge.downloadCidSetFile(request, call),
    listCidSetEvents: async (request, call) =>
      limited(request.participant, ['CIDS_EVENTS_LIST'], async () => bridge.listCidSetEvents(request, call)),
    getEntryByCid: async (request, call) =>
      limited(request.participant, ['CIDS_ENTRIES_READ'], async () => bridge.getEntryByCid(request, call)),
    createEntry: async (request, call) =>
      limited(request.entry.participant, ['ENTRIES_WRITE'], async () => bridge.createEntry(request, call)),
    listPolicies: async (request, call) => bridge.listPolicies(request, call),
    close: () => bridge.close(),
  };
}

async function takeToken(db: Db, participant: string, policy: string): Promise<void> {
  const { rows } = await translated(async () =>
    db.query<{ taken: boolean; retry_at: Date | null }>('select * from dict.take_token($1, $2)', [
      participant,
      policy,
    ]),
  );
  if (rows[0]?.taken === false) {
    throw rateLimited(
      `The bucket ${policy} is empty; the call waits for DICT's refill.`,
      rows[0].retry_at ?? undefined,
    );
  }
}

async function emptyBucket(
  db: Db,
  participant: string,
  policy: string,
  until: Date | undefined,
): Promise<Date | undefined> {
  const { rows } = await db.query<{ retry_at: Date | null }>(
    `select dict.empty_bucket($1, $2, $3 * interval '1 millisecond') as retry_at`,
    // As a span: Retry-After was counted from this machine's clock, buckets go by the database's.
    [participant, policy, until === undefined ? null : until.getTime() - Date.now()],
  );
  return rows[0]?.retry_at ?? undefined;
}

function rateLimited(message: string, retryAt: Date | undefined, correlationId?: string): DvError {
  return new DvError('DV_DICT_RATE_LIMITED', message, {
    class: 'rate_limited',
    ...(retryAt && { retryAt }),
    ...(correlationId !== undefined && { correlationId }),
  });
}
