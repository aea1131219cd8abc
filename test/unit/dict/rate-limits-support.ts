import { beforeEach } from 'vitest';
import { useTestDatabase } from '../../support/database.ts';
import { ISPB } from '../../support/key-base.ts';

export interface Bucket {
  policy: string;
  tokens: number;
  capacity: number;
  refill: number;
  period: number;
}

/** A database whose rate limits are empty before each test, and functions that read its buckets. */
export function useRateLimits() {
  const database = useTestDatabase();
  beforeEach(async () => {
    await database.pool.query('delete from dict.rate_limits');
  });

  async function buckets(participant = ISPB): Promise<Record<string, Bucket>> {
    const { rows } = await database.pool.query<Bucket>(
      `select policy, tokens, capacity, refill_tokens as refill, extract(epoch from refill_period)::integer as period
       from dict.rate_limits where participant = $1 order by policy`,
      [participant],
    );
    return Object.fromEntries(rows.map((row) => [row.policy, row]));
  }

  const bucket = async (policy: string) => (await buckets())[policy]!;

  return { database, buckets, bucket };
}
