import { randomBytes, randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Entry } from '../../../src/dict/entry/entry.ts';
import { noteThreshold, readDivergenceReport } from '../../../src/dict/log/divergence-report.ts';
import { openRound } from '../../../src/dict/log/reconciliation-log.ts';
import { forgetAll, ISPB, keys } from '../../unit/dict/entry/entries.ts';
import { useTestDatabase } from '../../support/database.ts';
import { answered, cidOf, found, KEY_TYPE, type Known, openRun, seedLocal } from './support.ts';

const database = useTestDatabase();
const POOL = keys(KEY_TYPE, 60);
/** The second moment is still the first of the month in Brasília. */
const MOMENTS = [
  { since: '2026-01-01T15:00:00Z', day: '2026-01-01' },
  { since: '2026-01-02T02:59:59Z', day: '2026-01-01' },
  { since: '2026-01-02T03:00:00Z', day: '2026-01-02' },
];
const UPDATED = { since: '2026-02-03T12:00:00Z', day: '2026-02-03' };

/** Ways in which a key may differ, by what can be known of it. */
const KINDS = [
  'local',
  'localGoneSince',
  'localRemovedSince',
  'dict',
  'dictOnceHere',
  'dictRemovedHere',
  'dictAnswered',
  'changedBack',
  'changedAnswered',
  'changedUnknown',
  'same',
] as const;
const DECISIONS = ['PENDING', 'PENDING', 'PENDING', 'IN_FLIGHT', 'HELD', 'REFUSED'];

const aKey = fc.record({
  kind: fc.constantFrom(...KINDS),
  branch: fc.constantFrom('0001', '0002', null),
  moment: fc.constantFrom(...MOMENTS),
  decisions: fc.tuple(fc.constantFrom(...DECISIONS), fc.constantFrom(...DECISIONS)),
});
type AKey = typeof aKey extends fc.Arbitrary<infer T> ? T : never;

/** Makes the key base and the divergences; answers what a person who made them knows. */
async function arrange(cases: readonly AKey[]) {
  const { pool } = database;
  const items = cases.map((item, i) => ({ ...item, entry: { ...POOL[i]!, branch: item.branch } }));
  const of = (...kinds: string[]) => items.filter(({ kind }) => kinds.includes(kind));
  const keysOf = (...kinds: string[]) => of(...kinds).map(({ entry }) => entry.key);
  await seedLocal(
    pool,
    items
      .filter(({ kind }) => kind !== 'dict' && kind !== 'dictAnswered')
      .map(({ entry, moment }) => ({ entry, since: moment.since })),
  );
  await pool.query('delete from dict.entries where key = any ($1)', [keysOf('dictOnceHere')]);
  await pool.query('update dict.entries set removed_at = now() where key = any ($1)', [
    keysOf('dictRemovedHere'),
  ]);
  await pool.query(`update dict.entries set account_number = '99', since = $2 where key = any ($1)`, [
    keysOf('changedBack'),
    UPDATED.since,
  ]);
  const run = await openRun(pool);
  await pool.query('delete from dict.entries where key = any ($1)', [keysOf('localGoneSince')]);
  await pool.query('update dict.entries set removed_at = now() where key = any ($1)', [
    keysOf('localRemovedSince'),
  ]);

  const known: Known[] = [];
  const answers: Entry[] = [];
  for (const { kind, entry, moment, decisions } of items) {
    const [decision, other] = decisions;
    const whole = { key: entry.key, branch: entry.branch ?? '', day: moment.day };
    const changed = { ...entry, accountNumber: '99' };
    const local = (cid = cidOf(entry), more: Partial<Known> = {}) =>
      known.push({ cid, side: 'LOCAL_ONLY', decision, ...whole, ...more });
    const dict = (cid: Buffer, more: Partial<Known> = {}) =>
      known.push({ cid, side: 'DICT_ONLY', decision: other, ...whole, ...more });
    const unknown = { key: null, branch: null, day: null };
    if (kind === 'local' || kind === 'localRemovedSince') local();
    if (kind === 'localGoneSince') local(cidOf(entry), { branch: null });
    if (kind === 'dict') dict(randomBytes(32), unknown);
    if (kind === 'dictOnceHere') dict(cidOf(entry), { branch: null });
    if (kind === 'dictRemovedHere') dict(cidOf(entry));
    if (kind === 'dictAnswered') {
      answers.push(entry);
      dict(cidOf(entry), { day: null });
    }
    if (kind === 'changedBack') {
      local(cidOf(changed), { day: UPDATED.day });
      dict(cidOf(entry));
    }
    if (kind === 'changedAnswered') {
      local();
      answers.push({ ...changed, branch: '7777' });
      dict(cidOf(answers.at(-1)!), { day: null, branch: '7777' });
    }
    if (kind === 'changedUnknown') {
      local();
      dict(randomBytes(32), unknown);
    }
  }
  const setHash = await found(pool, run, known);
  for (const entry of answers) await answered(pool, run, entry);
  return { run, known, setHash };
}

const count = <T>(items: readonly T[], matches: (item: T) => boolean) => items.filter(matches).length;
const pending = ({ decision }: Known) => decision === 'PENDING';

/** Counts by a name, as rows that can be compared whatever their order. */
function groups(known: readonly Known[], nameOf: (item: Known) => unknown): string[] {
  const sums = new Map<string, [number, number]>();
  for (const item of known) {
    const name = JSON.stringify(nameOf(item));
    const [cids, open] = sums.get(name) ?? [0, 0];
    sums.set(name, [cids + 1, open + (pending(item) ? 1 : 0)]);
  }
  return [...sums].map(([name, [cids, open]]) => `${name} ${cids} ${open}`).sort();
}

/** The same numbers, one divergence at a time. */
function naive(known: readonly Known[]) {
  const withKey = (key: string | null, side: string, also: (item: Known) => boolean = () => true) =>
    key !== null && known.some((item) => item.key === key && item.side === side && also(item));
  const isChanged = ({ key }: Known) => withKey(key, 'DICT_ONLY') && withKey(key, 'LOCAL_ONLY');
  const corrects = ({ key }: Known) =>
    withKey(key, 'DICT_ONLY', pending) && withKey(key, 'LOCAL_ONLY', pending);
  const alone = (side: string) =>
    count(known, (item) => item.side === side && pending(item) && !corrects(item));
  const changed = known.filter(isChanged);
  const correct = new Set(known.filter(corrects).map(({ key }) => key)).size;
  const [remove, fetch] = [alone('LOCAL_ONLY'), alone('DICT_ONLY')];
  return {
    kinds: {
      cids: known.length,
      pending: count(known, pending),
      dictOnly: count(known, (item) => item.side === 'DICT_ONLY' && !isChanged(item)),
      unknownKeys: count(known, ({ side, key }) => side === 'DICT_ONLY' && key === null),
      localOnly: count(known, (item) => item.side === 'LOCAL_ONLY' && !isChanged(item)),
      changedKeys: new Set(changed.map(({ key }) => key)).size,
      changedCids: changed.length,
    },
    plan: { remove, correct, fetch, lookups: remove + correct + fetch, seconds: 0 },
    decisions: groups(known, ({ side, decision }) => [side, decision]).map((row) => row.replace(/ \d+$/, '')),
    days: groups(known, ({ day }) => [day]),
    branches: groups(known, ({ branch }) => [branch]),
    largest: groups(known, ({ day, branch }) => [day, branch])
      .map((row) => Number(row.split(' ').at(-2)))
      .sort((a, b) => b - a)
      .slice(0, 10),
  };
}

test('the report equals a naive computation, whatever differs and whatever was decided', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(aKey, { maxLength: POOL.length }), async (cases) => {
      const { run, known, setHash } = await arrange(cases);
      const report = await readDivergenceReport(database.pool, run.runId);
      const expected = naive(known);
      expect(report.kinds).toEqual(expected.kinds);
      expect(report.plan).toEqual(expected.plan);
      expect(
        report.decisions
          .map(({ side, decision, cids }) => `${JSON.stringify([side, decision])} ${cids}`)
          .sort(),
      ).toEqual(expected.decisions);
      const rows = (of: { cids: number; pending: number }[], nameOf: (row: never) => unknown) =>
        of.map((row) => `${JSON.stringify(nameOf(row as never))} ${row.cids} ${row.pending}`).sort();
      expect(rows(report.days, ({ day }: { day: string }) => [day])).toEqual(expected.days);
      expect(rows(report.branches, ({ branch }: { branch: string }) => [branch])).toEqual(expected.branches);
      expect(report.largestGroups.map(({ cids }) => cids)).toEqual(expected.largest);
      const all = groups(known, ({ day, branch }) => [day, branch]);
      for (const { day, branch, cids, pending: open } of report.largestGroups) {
        expect(all).toContain(`${JSON.stringify([day, branch])} ${cids} ${open}`);
      }
      expect(report).toMatchObject({
        participant: ISPB,
        keyType: KEY_TYPE,
        round: 1,
        foundBy: 'FILE',
        setHash,
        threshold: null,
        foundInAllRounds: known.length,
      });
      expect(report.sample).toHaveLength(Math.min(20, known.length));
      for (const { cid, key, branch, side, decision } of report.sample) {
        const match = known.find((item) => item.cid.toString('hex') === cid);
        expect(match).toMatchObject({ key, branch, side, decision });
      }
    }),
    { numRuns: 25 },
  );
});

describe('a report', () => {
  const [one, two] = POOL as [Entry, Entry];
  const moment = MOMENTS[0]!.since;

  test('has the same sample each time, and some of each kind in it', async () => {
    const { pool } = database;
    const locals = POOL.slice(0, 30);
    await seedLocal(
      pool,
      locals.map((entry) => ({ entry, since: moment })),
    );
    const run = await openRun(pool);
    await found(pool, run, [
      ...locals.map((entry) => ({ cid: cidOf(entry), side: 'LOCAL_ONLY', decision: 'PENDING' }) as const),
      { cid: randomBytes(32), side: 'DICT_ONLY', decision: 'PENDING' },
      { cid: cidOf({ ...one, name: 'X' }), side: 'DICT_ONLY', decision: 'PENDING' },
    ]);
    await answered(pool, run, { ...one, name: 'X' });
    const [first, second] = [
      await readDivergenceReport(pool, run.runId),
      await readDivergenceReport(pool, run.runId),
    ];
    expect(second).toEqual(first);
    expect(new Set(first.sample.map(({ kind }) => kind))).toEqual(
      new Set(['CHANGED', 'DICT_ONLY', 'LOCAL_ONLY']),
    );
    const halves = first.sample.filter(({ key }) => key === one.key);
    expect(halves.map(({ side, before, after }) => [side, before?.name, after?.name])).toEqual(
      expect.arrayContaining([
        ['LOCAL_ONLY', one.name, undefined],
        ['DICT_ONLY', one.name, 'X'],
      ]),
    );
  });

  test('of a CID that came back: the day of the stay that counts', async () => {
    const { pool } = database;
    await seedLocal(pool, [{ entry: one, since: MOMENTS[0]!.since }]);
    await pool.query('update dict.entries set removed_at = now()');
    await pool.query('update dict.entries set removed_at = null, since = $1', [MOMENTS[2]!.since]);
    const run = await openRun(pool);
    await found(pool, run, [{ cid: cidOf(one), side: 'LOCAL_ONLY', decision: 'PENDING' }]);
    const days = async () => (await readDivergenceReport(pool, run.runId)).days.map(({ day }) => day);
    expect(await days()).toEqual([MOMENTS[2]!.day]);
    // Removed by the repair, then put back.
    await pool.query('update dict.entries set removed_at = now()');
    await pool.query('update dict.entries set removed_at = null, since = $1', [UPDATED.since]);
    expect(await days()).toEqual([MOMENTS[2]!.day]);
  });

  test('is of the last comparison that ended, or of the one asked for; all rounds count once together', async () => {
    const { pool } = database;
    await seedLocal(
      pool,
      [one, two].map((entry) => ({ entry, since: moment })),
    );
    const run = await openRun(pool);
    await expect(readDivergenceReport(pool, run.runId)).rejects.toMatchObject({ code: 'DV_REPORT_MISSING' });
    const [same, another] = [cidOf(one), cidOf(two)];
    await found(pool, run, [{ cid: same, side: 'LOCAL_ONLY', decision: 'REFUSED' }]);
    const round = await openRound(pool, run.runId, 0);
    expect((await readDivergenceReport(pool, run.runId)).round).toBe(1);
    const setHash = await found(pool, { runId: run.runId, round }, [
      { cid: same, side: 'LOCAL_ONLY', decision: 'PENDING' },
      { cid: another, side: 'LOCAL_ONLY', decision: 'PENDING' },
    ]);
    await noteThreshold(pool, run.runId, round, 1);
    expect(await readDivergenceReport(pool, run.runId)).toMatchObject({
      round: 2,
      foundInAllRounds: 2,
      threshold: 1,
      setHash,
    });
    expect((await readDivergenceReport(pool, run.runId, 1)).kinds.cids).toBe(1);
    for (const [id, asked] of [
      [run.runId, 3],
      [randomUUID(), undefined],
    ] as const) {
      await expect(readDivergenceReport(pool, id, asked)).rejects.toMatchObject({
        code: 'DV_REPORT_MISSING',
      });
    }
  });

  test("estimates the time by what DICT's bucket holds now", async () => {
    const { pool } = database;
    await forgetAll(pool);
    const run = await openRun(pool);
    await found(
      pool,
      run,
      Array.from({ length: 25 }, () => ({ cid: randomBytes(32), side: 'DICT_ONLY', decision: 'PENDING' })),
    );
    const seconds = async () => (await readDivergenceReport(pool, run.runId)).plan.seconds;
    expect(await seconds()).toBe(0);
    await pool.query(
      `insert into dict.rate_limits values ($1, 'CIDS_ENTRIES_READ', 100, 10, interval '60 seconds', 4, workflow.now())`,
      [ISPB],
    );
    // 21 more than it holds: three refills of ten.
    expect(await seconds()).toBe(180);
    await pool.query("update dict.rate_limits set refilled_at = refilled_at - interval '61 seconds'");
    expect(await seconds()).toBe(120);
    await pool.query('delete from dict.rate_limits');
  });
});

test('100,000 divergences take about a second', async () => {
  const { pool } = database;
  await forgetAll(pool);
  await pool.query(
    `insert into dict.entries (participant, key_type, key, request_id, owner_type, tax_id_number, name, branch, account_number, account_type, since)
     select $1, $2, 'k' || n || '@example.com', gen_random_uuid(), 'NATURAL_PERSON', '11122233300', 'N', lpad((n % 300)::text, 4, '0'), n::text, 'CACC',
       timestamptz '2025-01-01' + n % 400 * interval '1 day'
     from generate_series(1, 60000) n`,
    [ISPB, KEY_TYPE],
  );
  // Half of them changed since, and DICT has what they were.
  await pool.query(
    `update dict.entries set account_number = account_number || '0' where account_number::int % 2 = 0`,
  );
  const run = await openRun(pool);
  const { rows } = await pool.query<{ cid: Buffer; side: Known['side'] }>(
    `select cid, 'LOCAL_ONLY' as side from dict.entries
     union all select cid, 'DICT_ONLY' from dict.cid_log
     union all select sha256(n::text::bytea), 'DICT_ONLY' from generate_series(1, 10000) n`,
  );
  await found(
    pool,
    run,
    rows.map((row) => ({ ...row, decision: 'PENDING' })),
  );
  await pool.query('analyze dict.entries, dict.cid_history, dict.cid_changes, dict.divergences');
  const began = performance.now();
  const report = await readDivergenceReport(pool, run.runId);
  const took = performance.now() - began;
  expect(report.kinds).toEqual({
    cids: 100_000,
    pending: 100_000,
    dictOnly: 10_000,
    unknownKeys: 10_000,
    localOnly: 30_000,
    changedKeys: 30_000,
    changedCids: 60_000,
  });
  // A second or so on two cores; compared all with all it would be minutes.
  expect(took).toBeLessThan(8000);
});
