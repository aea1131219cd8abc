/** Size and refill of a bucket (DICT API 2.6.1, schema Policy, section "Limitação de requisições"). */
export interface Policy {
  name: string;
  capacity: number;
  refillTokens: number;
  refillPeriodSec: number;
}

/**
 * BACEN's token bucket. It starts full. `refillTokens` are added at the end of each `refillPeriodSec`, counted from the
 * bucket's first use ("reposição periódica": no token is added in between).
 */
export class TokenBucket {
  readonly policy: Policy;
  #tokens: number;
  #refilledAt: number;
  readonly #periodMs: number;

  /** `now` is in milliseconds. `speed` divides the period. */
  constructor(policy: Policy, now: number, speed: number) {
    this.policy = policy;
    this.#tokens = policy.capacity;
    this.#refilledAt = now;
    this.#periodMs = (policy.refillPeriodSec * 1000) / speed;
  }

  /** The number of tokens at `now`. */
  available(now: number): number {
    const periods = Math.max(0, Math.floor((now - this.#refilledAt) / this.#periodMs));
    this.#refilledAt += periods * this.#periodMs;
    this.#tokens = Math.min(this.policy.capacity, this.#tokens + periods * this.policy.refillTokens);
    return this.#tokens;
  }

  /** Takes one token. Returns false if there is no token. */
  take(now: number): boolean {
    if (this.available(now) < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** Returns the token of a call that does not have to take one after all. */
  giveBack(): void {
    this.#tokens = Math.min(this.policy.capacity, this.#tokens + 1);
  }
}
