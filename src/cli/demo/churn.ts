import type { Pool } from 'pg';
import type { Entry } from '../../dict/entry/entry.ts';
import { KEY_TYPES } from '../../dict/entry/key-type.ts';
import type { SimulatedDict } from '../../simulator/index.ts';
import { Random } from '../../simulator/random.ts';

/** What the customers did while the demo ran, and whether a repair reverted any of it. */
export interface ChurnReport {
  operations: number;
  /** Keys that on any side differ from what their customer last requested. Must be 0. */
  reverted: number;
}

export interface Churn {
  /** Stops, waits for the running operations, and checks every changed key. */
  stop(): Promise<ChurnReport>;
}

/** Interval of the operations of each key type, and the maximum delay between the two sides. */
const EVERY_MS = 150;
const LAG_MS = 25;

/**
 * Simulates customers while the demo runs: they register keys of each type, move them to another account and remove
 * them. As in an institution, both sides change a moment apart, DICT first or the local base first. `common` are
 * entries that both sides have.
 */
export function startChurn(pool: Pool, dict: SimulatedDict, common: readonly Entry[], seed: number): Churn {
  const random = new Random(seed, 'churn');
  /** The entry that the customer of each changed key last requested. Null: removed. */
  const wanted = new Map<string, Entry | null>();
  const busy = new Set<string>();
  const under = new Set<Promise<void>>();
  let operations = 0;
  const byType = Map.groupBy(common, ({ keyType }) => keyType);

  const operate = async (keyType: (typeof KEY_TYPES)[number]) => {
    const entries = byType.get(keyType) ?? [];
    const base = entries[random.below(Math.max(entries.length, 1))];
    if (base === undefined || busy.has(base.key)) return;
    busy.add(base.key);
    const now = wanted.has(base.key) ? wanted.get(base.key) : base;
    // A removed key is registered again as a new entry. An owner never updates an EVP, only removes it.
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
      return { operations, reverted: await countReverted(pool, dict, common, wanted) };
    },
  };
}

async function countReverted(
  pool: Pool,
  dict: SimulatedDict,
  common: readonly Entry[],
  wanted: ReadonlyMap<string, Entry | null>,
): Promise<number> {
  const { rows } = await pool.query<{ key: string; account: string; requestId: string }>(
    `select key, account_number as account, request_id as "requestId" from dict.entries
     where key = any ($1) and removed_at is null`,
    [[...wanted.keys()]],
  );
  const here = new Map(rows.map((row) => [row.key, row]));
  const touched = common.filter(({ key }) => wanted.has(key));
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
