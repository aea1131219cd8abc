import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  NO_EVIDENCE_NEEDED,
  objectionTo,
  PERHAPS_CHANGED,
  PERHAPS_OTHER_HALF,
  type RemovalEvidence,
} from '../../../../src/dict/repair/removal-evidence.ts';

type Events = [type: 'ADDED' | 'REMOVED', cid: string, second: number][];

const at = (second: number) => new Date(second * 1000).toISOString();
const logOf = (events: Events, from = 0): RemovalEvidence['log'] => ({
  from: from * 1000,
  byCid: Map.groupBy(
    events.map(([type, cid, second]) => ({ type, cid, timestamp: at(second) })),
    ({ cid }) => cid,
  ),
});
const evidence = (more: Partial<RemovalEvidence>): RemovalEvidence => ({
  ...NO_EVIDENCE_NEEDED,
  unknown: [{ cid: 'u', key: null, passing: false }],
  ...more,
});
const UNSURE = { decision: 'UNSURE', why: PERHAPS_OTHER_HALF };

test('without a CID whose key is unknown there is no objection', () => {
  expect(objectionTo(evidence({ unknown: [] }), 'c', 'key')).toBeUndefined();
});

test('with one, and without a log, a key is unsure; with one that may pass, the next comparison decides', () => {
  expect(objectionTo(evidence({}), 'c', 'key')).toEqual(UNSURE);
  const passing = evidence({ unknown: [{ cid: 'u', key: null, passing: true }] });
  expect(objectionTo(passing, 'c', 'key')).toEqual({ decision: 'SUPERSEDED', why: PERHAPS_CHANGED });
});

test('a CID whose key is known concerns this key only', () => {
  const known = evidence({ unknown: [{ cid: 'u', key: 'key', passing: false }] });
  expect(objectionTo(known, 'c', 'key')).toEqual(UNSURE);
  expect(objectionTo(known, 'c', 'another')).toBeUndefined();
});

test.each<[string, Events]>([
  [
    'an update: both at one moment',
    [
      ['REMOVED', 'c', 100],
      ['ADDED', 'u', 100],
    ],
  ],
  [
    'an update: the removal 26 ms before',
    [
      ['REMOVED', 'c', 100],
      ['ADDED', 'u', 100.026],
    ],
  ],
  [
    'an update, in the other order',
    [
      ['ADDED', 'u', 100],
      ['REMOVED', 'c', 100.026],
    ],
  ],
  [
    'deleted, and registered again an hour later',
    [
      ['REMOVED', 'c', 100],
      ['ADDED', 'u', 3700],
    ],
  ],
  [
    'two updates one after the other',
    [
      ['REMOVED', 'c', 100],
      ['ADDED', 'x', 100],
      ['REMOVED', 'x', 200],
      ['ADDED', 'u', 200],
    ],
  ],
  ['the log does not name the local one', [['ADDED', 'u', 100]]],
])('%s: unsure', (_, events) => {
  expect(objectionTo(evidence({ log: logOf(events) }), 'c', 'key')).toEqual(UNSURE);
});

test.each<[string, Events]>([
  [
    'added while the other was there',
    [
      ['ADDED', 'u', 100],
      ['REMOVED', 'c', 200],
    ],
  ],
  ['there before the log begins, as long as the other', [['REMOVED', 'c', 200]]],
  [
    'there together once, though both left and one came back',
    [
      ['ADDED', 'u', 50],
      ['REMOVED', 'c', 100],
      ['REMOVED', 'u', 150],
      ['ADDED', 'u', 300],
    ],
  ],
])('%s: two keys, so the removal is allowed', (_, events) => {
  expect(objectionTo(evidence({ log: logOf(events) }), 'c', 'key')).toBeUndefined();
});

test('each of several unknown CIDs must be excluded', () => {
  const log = logOf([
    ['ADDED', 'u', 100],
    ['REMOVED', 'c', 200],
    ['ADDED', 'v', 200],
  ]);
  const unknown = ['u', 'v'].map((cid) => ({ cid, key: null, passing: false }));
  expect(objectionTo(evidence({ log, unknown }), 'c', 'key')).toEqual(UNSURE);
});

/** Keys that live at DICT: each has one CID at a time; an update changes it at one moment or within 30 ms. */
const histories = fc.array(
  fc.array(fc.record({ after: fc.integer({ min: 1, max: 40 }), what: fc.constantFrom('put', 'delete') }), {
    minLength: 1,
    maxLength: 6,
  }),
  { minLength: 1, maxLength: 4 },
);

test('whatever happened at DICT, a key that DICT has is never taken for another key', () => {
  fc.assert(
    fc.property(histories, fc.integer({ min: 0, max: 60 }), (keys, from) => {
      const events: Events = [];
      const of = new Map<string, string[]>();
      const present = new Map<string, string>();
      for (const [k, acts] of keys.entries()) {
        const key = `key ${k}`;
        let now = 0;
        for (const [n, { after, what }] of acts.entries()) {
          now += after;
          const before = present.get(key);
          if (before !== undefined) events.push(['REMOVED', before, now]);
          present.delete(key);
          if (what === 'put') {
            const cid = `${k}.${n}`;
            events.push(['ADDED', cid, now + (n % 2) * 0.026]);
            present.set(key, cid);
            of.set(key, [...(of.get(key) ?? []), cid]);
          }
        }
      }
      const log = logOf(
        events.filter(([, , second]) => second >= from).toSorted((a, b) => a[2] - b[2]),
        from,
      );
      for (const [key, cid] of present) {
        const unknown = [{ cid, key: null, passing: false }];
        // The base still has an older state of the same key.
        for (const older of of.get(key)!.filter((other) => other !== cid)) {
          expect(objectionTo(evidence({ log, unknown }), older, key)).toEqual(UNSURE);
        }
      }
    }),
  );
});
