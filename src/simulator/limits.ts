import { BACEN_POLICIES } from '../dict/rate-limits/bacen-policies.ts';
import { TokenBucket } from './token-bucket.ts';
import type { Policy } from './token-bucket.ts';

/** DICT's operations that a participant can call here; the download is no operation of the API. */
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

/** All buckets: one a participant and policy, made at its first use. */
export class Limits {
  readonly #buckets = new Map<string, TokenBucket>();
  readonly #speed: number;

  constructor(speed: number) {
    this.#speed = speed;
  }

  /** The bucket a call draws from; undefined for the download. */
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

  /** The true state of each of the participant's buckets. */
  states(participant: string, now: number): (Policy & { availableTokens: number })[] {
    return OPERATIONS.flatMap((operation) => {
      const bucket = this.bucket(participant, operation, now);
      if (bucket === undefined) return [];
      // In whole seconds of the caller's clock, as BACEN's schema has them; never shorter than they are.
      const refillPeriodSec = Math.ceil(bucket.policy.refillPeriodSec / this.#speed);
      return [{ ...bucket.policy, refillPeriodSec, availableTokens: bucket.available(now) }];
    });
  }
}
