import type { PoolClient } from 'pg';
import { expect, test } from 'vitest';
import type { Entry } from '../../../../src/dict/entry/entry.ts';
import { countReconciliation, readReconciliation } from '../../../../src/dict/log/reconciliation-log.ts';
import { inTransaction } from '../../../../src/engine/index.ts';
import { useTestDatabase } from '../../../support/database.ts';
import { insert, keys, onConnection, someoneWaits, stored, type Db } from '../entry/entries.ts';
import { KEY_TYPE, beginRound } from './repair-support.ts';

const database = useTestDatabase();
const [entry] = keys(KEY_TYPE, 1) as [Entry];
const asDict: Entry = { ...entry, name: 'João Renomeado' };

const update = (set: string) => async (db: Db) => void (await db.query(`update dict.entries set ${set}`));
const reAdd = async (db: Db) => {
  await db.query('delete from dict.entries');
  await insert(db, [entry]);
};
const content = update("account_number = '777'");
const removal = update('removed_at = now()');
const deletion = async (db: Db) => void (await db.query('delete from dict.entries'));
const truncation = async (db: Db) => void (await db.query('truncate dict.entries'));

/** All that may happen to a present key. */
const changes: [string, (db: Db) => Promise<void>][] = [
  ['its account changed', content],
  ['a column outside its CID changed', update('opening_date = null')],
  ['it was removed', removal],
  ['it was removed and came back', async (db) => (await removal(db), update('removed_at = null')(db))],
  [
    'it was changed and changed back (A → B → A)',
    async (db) => (await content(db), update(`account_number = '${entry.accountNumber}'`)(db)),
  ],
  ['it was deleted', deletion],
  ['the table was truncated', truncation],
  ['it was deleted and added again as it was', reAdd],
  ['it was renamed', update("key = 'renamed@example.com'")],
];

/** The rows, with what shows whether they were touched. */
async function rows(): Promise<unknown[]> {
  const { rows } = await database.pool.query('select * from dict.entries');
  return rows;
}

async function countedInFlight(runId: string): Promise<number> {
  await countReconciliation(database.pool, runId);
  return (await readReconciliation(database.pool, runId))!.keysInFlight;
}

test.each(changes)('a key that differs is left alone when, since the snapshot, %s', async (_, change) => {
  const { runId, repair, divergences } = await beginRound(database.pool, { dict: [asDict], local: [entry] });
  await inTransaction(database.pool, change);
  const before = await rows();
  expect(await repair()).toEqual([]);
  expect(await rows()).toEqual(before);
  const why = 'the key has changed locally since the snapshot';
  expect(await divergences()).toMatchObject([
    { side: 'DICT_ONLY', key: entry.key, decision: 'IN_FLIGHT', why, after: null },
    { side: 'LOCAL_ONLY', key: entry.key, decision: 'IN_FLIGHT', why, after: null },
  ]);
  expect(await countedInFlight(runId)).toBe(1);
});

test.each(changes)(
  'a key that only the base has is left alone when, since the snapshot, %s',
  async (_, change) => {
    const { repair, divergences } = await beginRound(database.pool, { dict: [], local: [entry] });
    await inTransaction(database.pool, change);
    const before = await rows();
    expect(await repair()).toEqual([]);
    expect(await rows()).toEqual(before);
    expect(await divergences()).toMatchObject([
      { side: 'LOCAL_ONLY', key: entry.key, decision: 'IN_FLIGHT' },
    ]);
  },
);

const arrivals: [string, (db: Db) => Promise<void>][] = [
  ['it came, as DICT has it', async (db) => insert(db, [asDict])],
  ['it came with other values', async (db) => insert(db, [entry])],
  ['it came and was removed', async (db) => (await insert(db, [asDict]), removal(db))],
  ['it came and was deleted', async (db) => (await insert(db, [asDict]), deletion(db))],
];

test.each(arrivals)(
  'a key that only DICT has is left alone when, since the snapshot, %s',
  async (_, change) => {
    const { repair, divergences } = await beginRound(database.pool, { dict: [asDict], local: [] });
    await inTransaction(database.pool, change);
    const before = await rows();
    expect(await repair()).toEqual([]);
    expect(await rows()).toEqual(before);
    expect(await divergences()).toMatchObject([{ side: 'DICT_ONLY', key: entry.key, decision: 'IN_FLIGHT' }]);
  },
);

test('an update that changes nothing does not prevent a repair', async () => {
  const { repair, decisions } = await beginRound(database.pool, { dict: [asDict], local: [entry] });
  await update("name = name, changed_why = 'touched'")(database.pool);
  expect(await repair()).toHaveLength(1);
  expect(await decisions()).toEqual(['DICT_ONLY CORRECTED', 'LOCAL_ONLY CORRECTED']);
});

test('the next round, with a snapshot of its own, repairs what was in flight', async () => {
  const first = await beginRound(database.pool, { dict: [asDict], local: [entry] });
  await content(database.pool);
  expect(await first.repair()).toEqual([]);
  const second = await first.next();
  expect(await second.repair()).toMatchObject([{ decision: 'CORRECTED', key: entry.key }]);
});

test('a change that began before the snapshot and committed after it is in flight, whatever its clock says', async () => {
  const round = await beginRound(database.pool, { dict: [asDict], local: [entry] });
  await onConnection(database.pool, async (writer) => {
    await writer.query('begin');
    await content(writer);
    const second = await round.next();
    await writer.query('commit');
    expect(await second.repair()).toEqual([]);
    expect(await second.decisions()).toEqual(['DICT_ONLY IN_FLIGHT', 'LOCAL_ONLY IN_FLIGHT']);
  });
});

test('what was changed before a dump was restored here does not count as changed since', async () => {
  const { repair, decisions } = await beginRound(database.pool, { dict: [asDict], local: [entry] });
  await onConnection(database.pool, async (client) => {
    await client.query(`begin; set local session_replication_role = replica;
      update dict.entries set changed_xid = '1152921504606846976'; commit`);
  });
  expect(await repair()).toHaveLength(1);
  expect(await decisions()).toEqual(['DICT_ONLY CORRECTED', 'LOCAL_ONLY CORRECTED']);
});

/** Lets a writer change the keys, applies meanwhile, and ends the writer's transaction when the repair waits for it. */
async function against(
  writer: PoolClient,
  change: (db: Db) => Promise<void>,
  repair: () => Promise<unknown>,
  end: 'commit' | 'rollback',
): Promise<void> {
  await writer.query('begin');
  await change(writer);
  const repairing = repair();
  await expect.poll(async () => someoneWaits(database.pool)).toBe(true);
  await writer.query(end);
  await repairing;
}

test.each([
  ['changed', content],
  ['removed', removal],
  ['deleted', deletion],
] as const)(
  'the repair waits for a key %s by an open transaction, and leaves it alone',
  async (_, change) => {
    for (const dict of [[asDict], []]) {
      const { repair, decisions } = await beginRound(database.pool, { dict, local: [entry] });
      await onConnection(database.pool, async (writer) => against(writer, change, repair, 'commit'));
      expect(new Set((await decisions()).map((decision) => decision.split(' ')[1]))).toEqual(
        new Set(['IN_FLIGHT']),
      );
      expect((await stored(database.pool)).map(({ name }) => name)).not.toContain(asDict.name);
    }
  },
);

test('a key that somebody adds between the look and the insert is left alone, unless they roll back', async () => {
  for (const [end, decision, name] of [
    ['commit', 'IN_FLIGHT', entry.name],
    ['rollback', 'ADDED', asDict.name],
  ] as const) {
    const { repair, decisions } = await beginRound(database.pool, { dict: [asDict], local: [] });
    await onConnection(database.pool, async (writer) =>
      against(writer, async (db) => insert(db, [entry]), repair, end),
    );
    expect(await decisions()).toEqual([`DICT_ONLY ${decision}`]);
    expect((await stored(database.pool)).map((row) => row.name)).toEqual([name]);
  }
});
