import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { computeCid } from '../../../src/dict/entry/cid.ts';
import { VSync } from '../../../src/dict/vsync/vsync.ts';
import type { SimulatedDict } from '../../../src/simulator/index.ts';
import { CALLER, ISPB, START, drivenDict, keys } from './support.ts';

const about = { participant: ISPB, keyType: 'PHONE' };
const iso = (ms: number) => new Date(ms).toISOString();

interface Event {
  type: string;
  cid: string;
  timestamp: string;
}
interface Page {
  hasMoreElements: boolean;
  startTime: string;
  endTime: string;
  syncVerifierStart: string;
  syncVerifierEnd: string;
  events: Event[];
}

const list = async (dict: SimulatedDict, window: object = {}) =>
  (await dict.listCidSetEvents({ ...about, ...window }, CALLER)) as unknown as Page;
const xor = (hex: string, events: Event[]) => {
  const vsync = VSync.parse(hex);
  for (const { cid } of events) vsync.xor(Buffer.from(cid, 'hex'));
  return vsync.toHex();
};

/** One random operation on a pool of keys, for the model test of the log. */
const step = fc.record({
  key: fc.nat(7),
  operation: fc.constantFrom('create', 'update', 'delete', 'claim'),
  name: fc.constantFrom('Ana Dias', 'Rui Dias'),
  pass: fc.constantFrom(0, 0, 0, 1, 700),
  late: fc.constantFrom(0, 0, 0, 900),
});

test('the log, read page by page, leads from the seeded VSync to the present one', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 60 }),
      fc.integer({ min: 2, max: 9 }),
      async (steps, limit) => {
        const { dict, pass } = drivenDict({ limits: 'off' });
        const { directory } = dict;
        const pool = keys('PHONE', 8);
        directory.seed(pool.slice(0, 4));
        const seeded = directory.set(ISPB, 'PHONE').vsync();
        for (const { key, operation, name, pass: ms, late } of steps) {
          const entry = { ...pool[key]!, requestId: randomUUID() };
          const held = directory.find(entry.key);
          if (late > 0) dict.faults.on({ kind: 'late_events', delayMs: late, times: 1 });
          if (held === undefined && operation === 'create') directory.createEntry(entry);
          else if (held !== undefined && operation === 'update') directory.updateEntry(entry, { name });
          else if (held !== undefined && operation === 'delete') directory.deleteEntry(entry);
          else if (held !== undefined && operation === 'claim') {
            directory.confirmClaim({ donor: ISPB, claimer: ISPB, key: entry.key });
            pass(1);
            directory.completeClaim(entry);
          }
          pass(ms);
          const page = await list(dict, { limit: 200 });
          expect(xor(page.syncVerifierStart, page.events.slice(1))).toBe(page.syncVerifierEnd);
          expect(xor(seeded, page.events)).toBe(page.syncVerifierEnd);
        }
        pass(1000);

        const naive = VSync.empty();
        for (const { entry } of directory.set(ISPB, 'PHONE').entries()) naive.xor(computeCid(entry));
        const all = await list(dict, { limit: 200 });
        expect(all.syncVerifierEnd).toBe(naive.toHex());
        expect(directory.set(ISPB, 'PHONE').vsync()).toBe(naive.toHex());
        expect(xor(seeded, all.events)).toBe(naive.toHex());
        const times = all.events.map((event) => event.timestamp);
        expect(times).toEqual(times.toSorted());

        // Every window shows what a filter of the whole log shows, cut at the limit.
        for (const startTime of new Set(times)) {
          const page = await list(dict, { startTime, limit });
          const expected = all.events.filter((event) => event.timestamp >= startTime);
          expect(page.events).toEqual(expected.slice(0, limit));
          expect(page.hasMoreElements).toBe(expected.length > limit);
          expect(xor(page.syncVerifierStart, page.events.slice(1))).toBe(page.syncVerifierEnd);
        }
      },
    ),
    { numRuns: 60 },
  );
});

test('both ends of the window are inclusive, and the default page is 100 of at most 200', async () => {
  const { dict, pass } = drivenDict();
  for (const entry of keys('PHONE', 250)) {
    dict.directory.createEntry(entry);
    pass(1000);
  }
  expect((await list(dict)).events).toHaveLength(100);
  expect((await list(dict, { limit: 200 })).hasMoreElements).toBe(true);
  const window = { startTime: iso(START + 3000), endTime: iso(START + 5000) };
  const page = await list(dict, window);
  expect(page.events.map((event) => event.timestamp)).toEqual([3, 4, 5].map((s) => iso(START + s * 1000)));
  expect(page).toMatchObject({ ...window, hasMoreElements: false });
});

test('with more events at one timestamp than a page has room for, the page stays at that time and says there are more', async () => {
  const { dict, pass } = drivenDict();
  for (const entry of keys('PHONE', 205)) dict.directory.createEntry(entry);
  pass(1);
  const page = await list(dict, { limit: 200 });
  expect(page).toMatchObject({ startTime: iso(START), endTime: iso(START), hasMoreElements: true });
  const next = await list(dict, { limit: 200, startTime: page.endTime });
  expect(next.events).toEqual(page.events);
});

test('with no event in the window the verifiers are the VSync of its end', async () => {
  const { dict, pass } = drivenDict();
  const base = keys('PHONE', 3);
  dict.directory.seed(base.slice(0, 2));
  const seeded = dict.directory.set(ISPB, 'PHONE').vsync();
  const empty = { events: [], hasMoreElements: false };
  expect(await list(dict)).toMatchObject({ ...empty, syncVerifierStart: seeded, syncVerifierEnd: seeded });
  pass(1000);
  dict.directory.createEntry(base[2]!);
  pass(1000);
  const before = await list(dict, { endTime: iso(START + 999) });
  expect(before).toMatchObject({ ...empty, syncVerifierStart: seeded, syncVerifierEnd: seeded });
  const after = await list(dict, { startTime: iso(START + 1001) });
  const present = dict.directory.set(ISPB, 'PHONE').vsync();
  expect(after).toMatchObject({ ...empty, syncVerifierStart: present, syncVerifierEnd: present });
});

test('a late event appears late, under its true time, while a verification knows it immediately', async () => {
  const { dict, pass } = drivenDict();
  const [late, prompt] = keys('PHONE', 2) as [ReturnType<typeof keys>[0], ReturnType<typeof keys>[0]];
  dict.faults.on({ kind: 'late_events', keyType: 'PHONE', delayMs: 5000, times: 1 });
  dict.directory.createEntry(late);
  pass(1000);
  dict.directory.createEntry(prompt);
  const cid = (entry: typeof late) => computeCid(entry).toString('hex');
  const shown = await list(dict);
  expect(shown.events.map((event) => event.cid)).toEqual([cid(prompt)]);
  expect(shown.syncVerifierEnd).toBe(cid(prompt));
  const vsync = VSync.empty().xor(computeCid(late)).xor(computeCid(prompt)).toHex();
  expect(await dict.createSyncVerification({ ...about, vsync }, CALLER)).toMatchObject({ result: 'OK' });
  pass(4000);
  expect((await list(dict)).events).toMatchObject([
    { cid: cid(late), timestamp: iso(START) },
    { cid: cid(prompt), timestamp: iso(START + 1000) },
  ]);
});
