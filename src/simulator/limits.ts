import { TokenBucket } from './token-bucket.ts';
import type { Policy } from './token-bucket.ts';

/** DICT's operations that a participant can call here. The download is not an operation of the API. */
export const OPERATIONS = [
  'createSyncVerification',
  'createCidSetFile',
  'getCidSetFile',
  'downloadCidSetFile',
  'listCidSetEvents',
  'getEntryByCid',
  'createEntry',
  'listPolicies',
] as const;

export type Operation = (typeof OPERATIONS)[number];

const DAY = 86_400;

const policy = (name: string, refillTokens: number, refillPeriodSec: number, capacity: number): Policy => ({
  name,
  capacity,
  refillTokens,
  refillPeriodSec,
});

// DICT API 2.6.1, section "Limitação de requisições", the table of policies.
const POLICIES: Partial<Record<Operation, Policy>> = {
  createSyncVerification: policy('SYNC_VERIFICATIONS_WRITE', 10, 60, 50),
  createCidSetFile: policy('CIDS_FILES_WRITE', 40, DAY, 200),
  getCidSetFile: policy('CIDS_FILES_READ', 10, 60, 50),
  listCidSetEvents: policy('CIDS_EVENTS_LIST', 20, 60, 100),
  getEntryByCid: policy('CIDS_ENTRIES_READ', 1200, 60, 36_000),
  createEntry: policy('ENTRIES_WRITE', 1200, 60, 36_000),
  listPolicies: policy('POLICIES_LIST', 6, 60, 20),
};

/** All token buckets: one for each participant and policy, made at its first use. */
export class Limits {
  readonly #buckets = new Map<string, TokenBucket>();
  readonly #speed: number;

  constructor(speed: number) {
    this.#speed = speed;
  }

  /** The token bucket of a call. Undefined for the download. */
  bucket(participant: string, operation: Operation, now: number): TokenBucket | undefined {
    const policy = POLICIES[operation];
    if (policy === undefined) return undefined;
    const name = `${participant}/${policy.name}`;
    let bucket = this.#buckets.get(name);
    if (bucket === undefined) {
      bucket = new TokenBucket(policy, now, this.#speed);
      this.#buckets.set(name, bucket);
    }
    return bucket;
  }

  /** The true state of each token bucket of the participant. */
  states(participant: string, now: number): (Policy & { availableTokens: number })[] {
    return OPERATIONS.flatMap((operation) => {
      const bucket = this.bucket(participant, operation, now);
      if (bucket === undefined) return [];
      // In whole seconds of the caller's clock, as in BACEN's schema. Rounded up, never down.
      const refillPeriodSec = Math.ceil(bucket.policy.refillPeriodSec / this.#speed);
      return [{ ...bucket.policy, refillPeriodSec, availableTokens: bucket.available(now) }];
    });
  }
}
