import { createHash, randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import type { CidSetEvent } from '../../../../src/bridge/index.ts';
import { computeCid } from '../../../../src/dict/entry/cid.ts';
import type { Entry } from '../../../../src/dict/entry/entry.ts';
import { judgeRound } from '../../../../src/dict/repair/in-flight.ts';
import {
  addDivergences,
  openReconciliation,
  openRound,
} from '../../../../src/dict/log/reconciliation-log.ts';
import { inTransaction } from '../../../../src/engine/index.ts';
import { useTestDatabase } from '../../../support/database.ts';
import { ISPB, forgetAll, insert, keys, onConnection, type Db } from '../entry/entries.ts';

const database = useTestDatabase();
const KEY_TYPE = 'EMAIL';
const [entry, other] = keys(KEY_TYPE, 2) as [Entry, Entry];
const renamed: Entry = { ...entry, name: 'Outro Nome' };
const cidOf = (of: Entry) => computeCid(of);
const rename = async (db: Db, name = renamed.name) =>
  void (await db.query('update dict.entries set name = $2 where key = $1', [entry.key, name]));
const event = (of: Entry): CidSetEvent => ({
  type: 'ADDED',
  cid: cidOf(of).toString('hex'),
  timestamp: new Date().toISOString(),
});

interface Round {
  /** Judges entries whose CID only one side has, "DICT_ONLY" or "LOCAL_ONLY"; returns decision, reason and key. */
  judge(
    divergent: readonly { side: string; of: Entry }[],
    events?: readonly CidSetEvent[],
  ): Promise<{ decision: string; why: string | null; key: string | null }[]>;
}

/** A round whose snapshot is taken now. */
async function round(marginSeconds = 0): Promise<Round> {
  const runId = randomUUID();
  await openReconciliation(database.pool, runId, ISPB, KEY_TYPE);
  const number = await inTransaction(database.pool, async (tx) => openRound(tx, runId, marginSeconds));
  return {
    async judge(divergent, events = []) {
      await addDivergences(
        database.pool,
        runId,
        number,
        divergent.map(({ side, of }) => ({ side, cid: cidOf(of) })),
      );
      const inFlight = await inTransaction(database.pool, async (tx) =>
        judgeRound(tx, runId, number, events),
      );
      const { rows } = await database.pool.query<{
        decision: string;
        why: string | null;
        key: string | null;
      }>(
        `select decision, why, key from dict.divergences where run_id = $1
         order by array_position($2::bytea[], cid)`,
        [runId, divergent.map(({ of }) => cidOf(of))],
      );
      expect(rows.filter(({ decision }) => decision === 'IN_FLIGHT')).toHaveLength(inFlight);
      return rows;
    },
  };
}

/** The base has the entry and nothing else is known of it. */
async function start(): Promise<void> {
  await forgetAll(database.pool);
  await insert(database.pool, [entry]);
}

const BOTH = [
  { side: 'LOCAL_ONLY', of: renamed },
  { side: 'DICT_ONLY', of: entry },
];
const LOCALLY = { decision: 'IN_FLIGHT', why: 'it changed locally since the snapshot', key: entry.key };
const AT_DICT = { decision: 'IN_FLIGHT', why: 'DICT changed it since the snapshot' };
const PENDING = { decision: 'PENDING', why: null };

test('a difference that nothing explains is left to be decided', async () => {
  await start();
  await rename(database.pool);
  const { judge } = await round();
  expect(await judge(BOTH, [event(other)])).toMatchObject([PENDING, PENDING]);
});

test('a key changed since the snapshot explains both its CIDs, the one that came and the one that left', async () => {
  await start();
  const { judge } = await round();
  await rename(database.pool);
  expect(await judge(BOTH)).toMatchObject([LOCALLY, LOCALLY]);
});

test('a key changed within the margin before it is in flight, one changed earlier is not', async () => {
  await start();
  await rename(database.pool);
  const wide = await round(60);
  expect(await wide.judge(BOTH)).toMatchObject([LOCALLY, LOCALLY]);
  await database.pool.query(`begin; set local session_replication_role = replica;
    update dict.entries set since = since - interval '61 seconds';
    update dict.cid_changes set left_at = left_at - interval '61 seconds'; commit`);
  const later = await round(60);
  expect(await later.judge(BOTH)).toMatchObject([PENDING, PENDING]);
});

test('a key changed by a transaction that the snapshot does not see is in flight, though it wrote long before', async () => {
  await start();
  await onConnection(database.pool, async (writer) => {
    await writer.query('begin');
    await rename(writer);
    await writer.query(`set local session_replication_role = replica`);
    await writer.query(`update dict.entries set since = since - interval '1 hour'`);
    await writer.query(`update dict.cid_changes set left_at = left_at - interval '1 hour'`);
    const { judge } = await round();
    await writer.query('commit');
    expect(await judge(BOTH)).toMatchObject([LOCALLY, LOCALLY]);
  });
});

test('a key removed, softly or not, or added since is in flight', async () => {
  for (const removal of ['update dict.entries set removed_at = now()', 'delete from dict.entries']) {
    await start();
    const { judge } = await round();
    await database.pool.query(removal);
    expect(await judge([{ side: 'DICT_ONLY', of: entry }])).toMatchObject([LOCALLY]);
  }
  await start();
  const { judge } = await round();
  await insert(database.pool, [other]);
  expect(await judge([{ side: 'LOCAL_ONLY', of: other }])).toMatchObject([{ ...LOCALLY, key: other.key }]);
});

test('after A → B → A since the snapshot, A left and came, and B came and left', async () => {
  await start();
  const { judge } = await round();
  await rename(database.pool);
  await rename(database.pool, entry.name);
  const found = await judge([
    { side: 'LOCAL_ONLY', of: entry },
    { side: 'DICT_ONLY', of: renamed },
  ]);
  expect(found).toMatchObject([LOCALLY, LOCALLY]);
});

test("a CID that DICT's log names is in flight, whether the base knows it or not", async () => {
  await start();
  const { judge } = await round();
  const found = await judge(
    [
      { side: 'LOCAL_ONLY', of: entry },
      { side: 'DICT_ONLY', of: other },
      { side: 'DICT_ONLY', of: renamed },
    ],
    [event(entry), event(other)],
  );
  expect(found).toMatchObject([{ ...AT_DICT, key: entry.key }, { ...AT_DICT, key: null }, PENDING]);
});

test('a change of the same key by another participant or key type explains nothing', async () => {
  await start();
  const { judge } = await round();
  await insert(database.pool, [{ ...entry, participant: '00000001' }]);
  await database.pool.query(`delete from dict.entries where participant = '00000001'`);
  expect(await judge([{ side: 'LOCAL_ONLY', of: entry }])).toMatchObject([PENDING]);
});

test('many divergences just written, and not analysed yet, are judged one by one, not each with each', async () => {
  await start();
  const runId = randomUUID();
  await openReconciliation(database.pool, runId, ISPB, KEY_TYPE);
  const number = await inTransaction(database.pool, async (tx) => openRound(tx, runId, 0));
  const cids = Array.from({ length: 12_000 }, (_, i) => createHash('sha256').update(`${i}`).digest());
  for (let from = 0; from < cids.length; from += 1000) {
    const batch = cids.slice(from, from + 1000).map((cid) => ({ side: 'DICT_ONLY', cid }) as const);
    await addDivergences(database.pool, runId, number, batch);
  }
  const named = cids.slice(0, 3).map((cid) => ({ ...event(entry), cid: cid.toString('hex') }));
  const inFlight = await inTransaction(database.pool, async (tx) => {
    // It takes less than one; quadratic it was a minute.
    await tx.query("set local statement_timeout = '10s'");
    return judgeRound(tx, runId, number, named);
  });
  expect(inFlight).toBe(3);
});
