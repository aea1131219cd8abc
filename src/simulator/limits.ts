import { BACEN_POLICIES } from '../dict/rate-limits/bacen-policies.ts';
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

const POLICIES: Partial<Record<Operation, Policy>> = BACEN_POLICIES;

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
