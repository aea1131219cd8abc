import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Entry } from '../../../src/dict/entry/entry.ts';
import { readDivergenceReport } from '../../../src/dict/log/divergence-report.ts';
import { ISPB } from '../../unit/dict/entry/entries.ts';
import { useTestDatabase } from '../../support/database.ts';
import {
  answered,
  cidOf,
  found,
  KEY_TYPE,
  type Known,
  MOMENTS,
  openRun,
  POOL,
  seedLocal,
  UPDATED,
} from './support.ts';

const database = useTestDatabase();

/** The kinds of differences between keys, by what can be known of them. */
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

/** Makes the key base and the divergences; returns what the person who made them knows. */
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

/** Counts by a name, as rows that can be compared in any order. */
function groups(known: readonly Known[], nameOf: (item: Known) => unknown): string[] {
  const sums = new Map<string, [number, number]>();
  for (const item of known) {
    const name = JSON.stringify(nameOf(item));
    const [cids, open] = sums.get(name) ?? [0, 0];
    sums.set(name, [cids + 1, open + (pending(item) ? 1 : 0)]);
  }
  return [...sums].map(([name, [cids, open]]) => `${name} ${cids} ${open}`).sort();
}

/** The same numbers, computed one divergence at a time. */
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
