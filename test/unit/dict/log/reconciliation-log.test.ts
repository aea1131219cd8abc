import { createHash, randomUUID } from 'node:crypto';
import { beforeEach, expect, test } from 'vitest';
import {
  addDivergences,
  approveRound,
  clearDivergences,
  closeReconciliation,
  countReconciliation,
  openReconciliation,
  openRound,
  readReconciliation,
  recordFindings,
  type RoundFindings,
} from '../../../../src/dict/log/reconciliation-log.ts';
import { freezeRound } from '../../../../src/dict/repair/repair-plan.ts';
import { importEntries } from '../../../../src/dict/key-base/import.ts';
import { readVSync } from '../../../../src/dict/vsync/vsync-store.ts';
import { useTestDatabase } from '../../../support/database.ts';
import { cidOf } from '../compare/cid-files.ts';
import { ISPB, forgetAll, insert, keys, onConnection } from '../entry/entries.ts';

const database = useTestDatabase();
let run: string;

beforeEach(async () => {
  await forgetAll(database.pool);
  await insert(database.pool, keys('EMAIL', 3));
  run = randomUUID();
  await openReconciliation(database.pool, run, ISPB, 'EMAIL');
});

const dictOnly = (...ns: number[]) =>
  ns.map((n) => ({ side: 'DICT_ONLY', cid: Buffer.from(cidOf(n), 'hex') }));
const localOnly = (...ns: number[]) =>
  ns.map((n) => ({ side: 'LOCAL_ONLY', cid: Buffer.from(cidOf(n), 'hex') }));

function findings(found: ReturnType<typeof dictOnly>): RoundFindings {
  const count = (wanted: string) => found.filter(({ side }) => side === wanted).length;
  const counts = { dictOnly: count('DICT_ONLY'), localOnly: count('LOCAL_ONLY') };
  return {
    ...counts,
    foundBy: 'FILE',
    foundByReason: 'the test says so',
    duplicates: 2,
    fileCids: 9,
  };
}

/** The hash of a set, computed from its definition. */
function hashOf(...found: ReturnType<typeof dictOnly>): string {
  const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest();
  return found
    .toSorted((a, b) => a.cid.compare(b.cid))
    .reduce(
      (hash, { side, cid }) =>
        sha256(Buffer.concat([hash, Buffer.from(`${side[0]} ${cid.toString('hex')} ASK`)])),
      sha256(Buffer.alloc(0)),
    )
    .toString('hex');
}

/** One round that finds these CIDs. */
async function round(...found: ReturnType<typeof dictOnly>) {
  const n = await openRound(database.pool, run, 0);
  await addDivergences(database.pool, run, n, found);
  await recordFindings(database.pool, run, n, findings(found));
  const frozen = await freezeRound(database.pool, { runId: run, round: n });
  return { n, frozen };
}

const approve = (n: number) => approveRound(database.pool, run, n, { by: 'Ana', reason: `round ${n}` });

test('it opens once, with the VSync as it was', async () => {
  const before = await readVSync(database.pool, ISPB, 'EMAIL');
  await insert(database.pool, keys('EMAIL', 2, 2));
  await openReconciliation(database.pool, run, ISPB, 'EMAIL');
  expect(await readReconciliation(database.pool, run)).toMatchObject({
    participant: ISPB,
    keyType: 'EMAIL',
    vsyncBefore: before.vsync,
    entriesBefore: 3,
    outcome: null,
    vsyncAfter: null,
    setHash: null,
  });
  expect(await readReconciliation(database.pool, randomUUID())).toBeUndefined();
});

test('rounds count from 1, each with a snapshot that does not see a later change', async () => {
  expect(await openRound(database.pool, run, 0)).toBe(1);
  await database.pool.query("update dict.entries set name = 'Another'");
  expect(await openRound(database.pool, run, 0)).toBe(2);
  const { rows } = await database.pool.query(
    `select r.round, bool_or(dict.changed_since(e.changed_xid, r.snapshot)) as changed, o.rounds
     from dict.rounds r join dict.reconciliations o using (run_id), dict.entries e
     where r.run_id = $1 group by r.round, o.rounds order by 1`,
    [run],
  );
  expect(rows).toEqual([
    { round: 1, changed: true, rounds: 2 },
    { round: 2, changed: false, rounds: 2 },
  ]);
});

test('a change by a transaction open when the round begins is a change since', async () => {
  await onConnection(database.pool, async (writer) => {
    await writer.query("begin; update dict.entries set name = 'Another'");
    await openRound(database.pool, run, 0);
    await writer.query('commit');
  });
  const { rows } = await database.pool.query(
    `select distinct dict.changed_since(e.changed_xid, r.snapshot) as changed from dict.rounds r, dict.entries e
     where r.run_id = $1`,
    [run],
  );
  expect(rows).toEqual([{ changed: true }]);
});

test('with a snapshot of another cluster, brought here by a dump, the time decides what came since', async () => {
  await openRound(database.pool, run, 0);
  await database.pool.query(`update dict.rounds set snapshot = '999999999999:999999999999:'`);
  await importEntries(database.pool, keys('EMAIL', 1, 7));
  const { rows } = await database.pool.query(
    `select dict.in_flight(e.changed_xid, e.since, e.changed_why, r) as since, count(*)::integer as keys
     from dict.rounds r, dict.entries e where r.run_id = $1 group by 1 order by 1`,
    [run],
  );
  expect(rows).toEqual([
    { since: false, keys: 3 },
    { since: true, keys: 1 },
  ]);
});

test('a frozen round keeps its hash and counts', async () => {
  const { frozen } = await round(...dictOnly(1, 2), ...localOnly(3));
  expect(frozen).toMatchObject({ found: 3, unapproved: 3, pending: 3 });
  const { rows } = await database.pool.query(
    `select set_hash, dict_only_cids::int, local_only_cids::int, file_cids::int, file_duplicates::int,
       compared_at is not null as compared from dict.rounds where run_id = $1`,
    [run],
  );
  expect(rows).toEqual([
    {
      set_hash: hashOf(...dictOnly(1, 2), ...localOnly(3)),
      dict_only_cids: 2,
      local_only_cids: 1,
      file_cids: 9,
      file_duplicates: 2,
      compared: true,
    },
  ]);
});

test('the number found counts each CID once over all rounds, the number pending those of this round', async () => {
  await round(...dictOnly(1, 2), ...localOnly(3));
  expect((await round(...dictOnly(2, 4), ...localOnly(3, 5))).frozen).toMatchObject({ found: 5, pending: 4 });
  expect((await round()).frozen).toMatchObject({ found: 5, unapproved: 0, pending: 0 });
});

test('an approval covers the CIDs of its own round in later ones, and no other CID', async () => {
  const first = await round(...dictOnly(1, 2), ...localOnly(3));
  await approve(first.n);
  expect((await round(...dictOnly(2), ...localOnly(3))).frozen.unapproved).toBe(0);
  const third = await round(...dictOnly(2, 6), ...localOnly(3, 7));
  expect(third.frozen.unapproved).toBe(2);
  // Found in an earlier round that nobody approved; or approved, but on the other side.
  expect((await round(...dictOnly(6), ...localOnly(1))).frozen.unapproved).toBe(2);
  await approve(third.n);
  expect((await round(...dictOnly(1, 6), ...localOnly(7))).frozen.unapproved).toBe(0);
});

test("another run's approval does not count", async () => {
  await approve((await round(...dictOnly(1))).n);
  run = randomUUID();
  await openReconciliation(database.pool, run, ISPB, 'EMAIL');
  expect((await round(...dictOnly(1))).frozen).toMatchObject({ found: 1, unapproved: 1, pending: 1 });
});

test('the log says who approved which set, and why', async () => {
  await approve((await round(...dictOnly(1))).n);
  const { rows } = await database.pool.query(
    `select o.approved_by, o.approved_why, o.approved_set, r.approved_by as of_round, r.approved_at is not null as at
     from dict.reconciliations o join dict.rounds r using (run_id) where run_id = $1`,
    [run],
  );
  expect(rows).toEqual([
    {
      approved_by: 'Ana',
      approved_why: 'round 1',
      approved_set: hashOf(...dictOnly(1)),
      of_round: 'Ana',
      at: true,
    },
  ]);
  expect(await readReconciliation(database.pool, run)).toMatchObject({
    approvedBy: 'Ana',
    setHash: hashOf(...dictOnly(1)),
  });
});

test('a repeated comparison deletes what the interrupted one wrote, of its round only', async () => {
  await round(...dictOnly(1));
  const { n } = await round(...dictOnly(2, 3));
  await clearDivergences(database.pool, run, n);
  await addDivergences(database.pool, run, n, dictOnly(3));
  // A batch that is written twice changes nothing.
  await addDivergences(database.pool, run, n, dictOnly(3));
  await recordFindings(database.pool, run, n, findings(dictOnly(3)));
  const frozen = await freezeRound(database.pool, { runId: run, round: n });
  expect(frozen).toMatchObject({ found: 2, unapproved: 1, pending: 1 });
});

test('the log counts CIDs once however many rounds found them, and keys by what was done', async () => {
  await round(...dictOnly(1, 2), ...localOnly(3, 4));
  await round(...dictOnly(2, 5), ...localOnly(4));
  const decide = (n: number, cid: number, decision: string, key: string | null) =>
    database.pool.query(
      `update dict.divergences set decision = $3, key = $4 where run_id = $1 and round = $2 and cid = decode($5, 'hex')`,
      [run, n, decision, key, cidOf(cid)],
    );
  await decide(1, 1, 'CORRECTED', 'a');
  await decide(1, 3, 'CORRECTED', 'a');
  await decide(1, 2, 'IN_FLIGHT', 'b');
  await decide(1, 4, 'IN_FLIGHT', 'b');
  await decide(2, 2, 'ADDED', 'b');
  await decide(2, 4, 'REMOVED', 'c');
  await countReconciliation(database.pool, run);
  expect(await readReconciliation(database.pool, run)).toMatchObject({
    dictOnlyCids: 3,
    localOnlyCids: 2,
    keysAdded: 1,
    keysCorrected: 1,
    keysRemoved: 1,
    keysInFlight: 1,
  });
});

test('it closes with outcome, reason and the VSync as it is then', async () => {
  await round(...dictOnly(1));
  await insert(database.pool, keys('EMAIL', 2, 2));
  const after = await readVSync(database.pool, ISPB, 'EMAIL');
  const summary = await closeReconciliation(database.pool, run, 'FAILED', 'DV_FILE_LATE: …');
  expect(summary).toMatchObject({
    outcome: 'FAILED',
    reason: 'DV_FILE_LATE: …',
    rounds: 1,
    dictOnlyCids: 1,
    vsyncAfter: after.vsync,
    entriesBefore: 3,
    entriesAfter: 5,
  });
  const { rows } = await database.pool.query(
    'select ended_at >= started_at as ended from dict.reconciliations where run_id = $1',
    [run],
  );
  expect(rows).toEqual([{ ended: true }]);
});
