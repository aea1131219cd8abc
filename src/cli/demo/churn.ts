import type { Pool } from 'pg';
import type { Entry } from '../../dict/entry/entry.ts';
import { KEY_TYPES } from '../../dict/entry/key-type.ts';
import type { SimulatedDict } from '../../simulator/index.ts';
import { Random } from '../../simulator/random.ts';

/** What the customers did while the demo ran, and whether anything of it was undone. */
export interface ChurnReport {
  operations: number;
  /** Keys that don't hold what their customer last wanted, on either side. Must be 0. */
  reverted: number;
}

export interface Churn {
  /** Stops, waits for the operations under way, and looks at every key that was touched. */
  stop(): Promise<ChurnReport>;
}

/** An operation of each key type every so often, and how long one side is behind the other. */
const EVERY_MS = 150;
const LAG_MS = 25;

/**
 * Customers at work while the demo runs: on each key type keys are registered, moved to another account and removed,
 * on both sides as an institution does it, at DICT first or locally first, a moment apart. `settled` are entries that
 * both sides hold.
 */
export function startChurn(pool: Pool, dict: SimulatedDict, settled: readonly Entry[], seed: number): Churn {
  const random = new Random(seed, 'churn');
  /** What the customer of each touched key last wanted; null: removed. */
  const wanted = new Map<string, Entry | null>();
  const busy = new Set<string>();
  const under = new Set<Promise<void>>();
  let operations = 0;
  const byType = Map.groupBy(settled, ({ keyType }) => keyType);

  const operate = async (keyType: (typeof KEY_TYPES)[number]) => {
    const entries = byType.get(keyType) ?? [];
    const base = entries[random.below(Math.max(entries.length, 1))];
    if (base === undefined || busy.has(base.key)) return;
    busy.add(base.key);
    const now = wanted.has(base.key) ? wanted.get(base.key) : base;
    // A removed key comes back as a new registration; an EVP is never updated by its owner, only removed.
    const next =
      now === null || now === undefined
        ? { ...moved(base), requestId: random.uuid() }
        : random.chance(0.3) || keyType === 'EVP'
          ? null
          : moved(now);
    wanted.set(base.key, next);
    operations++;
    const sides = [async () => atDict(now ?? null, next, base), async () => locally(next, base)];
    for (const side of random.chance(0.7) ? sides : sides.reverse()) {
      await side();
      await new Promise((resolve) => setTimeout(resolve, random.below(LAG_MS)));
    }
    busy.delete(base.key);
  };
  const moved = (entry: Entry): Entry => ({
    ...entry,
    accountNumber: String(1_000_000 + random.below(9_000_000)),
  });
  const atDict = (now: Entry | null, next: Entry | null, { participant, key }: Entry) => {
    if (next === null) dict.directory.deleteEntry({ participant, key });
    else if (now === null) dict.directory.createEntry(next);
    else dict.directory.updateEntry({ participant, key }, { accountNumber: next.accountNumber });
  };
  const locally = async (next: Entry | null, { participant, keyType, key }: Entry) => {
    if (next === null) {
      await pool.query(
        'update dict.entries set removed_at = now() where participant = $1 and key_type = $2 and key = $3',
        [participant, keyType, key],
      );
      return;
    }
    await pool.query(
      `update dict.entries set removed_at = null, account_number = $4, request_id = $5
       where participant = $1 and key_type = $2 and key = $3`,
      [participant, keyType, key, next.accountNumber, next.requestId],
    );
  };

  const timers = KEY_TYPES.map((keyType) =>
    setInterval(() => {
      const work = operate(keyType).finally(() => under.delete(work));
      under.add(work);
    }, EVERY_MS),
  );
  return {
    stop: async () => {
      for (const timer of timers) clearInterval(timer);
      await Promise.all(under);
      return { operations, reverted: await countReverted(pool, dict, settled, wanted) };
    },
  };
}

async function countReverted(
  pool: Pool,
  dict: SimulatedDict,
  settled: readonly Entry[],
  wanted: ReadonlyMap<string, Entry | null>,
): Promise<number> {
  const { rows } = await pool.query<{ key: string; account: string; requestId: string }>(
    `select key, account_number as account, request_id as "requestId" from dict.entries
     where key = any ($1) and removed_at is null`,
    [[...wanted.keys()]],
  );
  const here = new Map(rows.map((row) => [row.key, row]));
  const touched = settled.filter(({ key }) => wanted.has(key));
  return touched.filter(({ key }) => {
    const want = wanted.get(key);
    const local = here.get(key);
    const there = dict.directory.find(key)?.entry;
    if (want === null || want === undefined) return local !== undefined || there !== undefined;
    const same = (account?: string, requestId?: string) =>
      account === want.accountNumber && requestId === want.requestId;
    return !same(local?.account, local?.requestId) || !same(there?.accountNumber, there?.requestId);
  }).length;
}
