import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CidSetEvent } from '../../../../src/bridge/index.ts';
import { parseCid } from '../../../../src/dict/entry/cid.ts';
import { explains, type LocalChange, replayLogs } from '../../../../src/dict/event-log/replay.ts';
import { VSync } from '../../../../src/dict/vsync/vsync.ts';

/** CID number n. */
const cid = (n: number) => createHash('sha256').update(String(n)).digest('hex');
const vsyncOf = (set: Iterable<string>) => {
  const vsync = VSync.empty();
  for (const one of set) vsync.xor(parseCid(one));
  return vsync.toHex();
};
const difference = (dict: Set<string>, local: Set<string>) => [
  ...[...dict].filter((one) => !local.has(one)).map((one) => `DICT_ONLY ${one}`),
  ...[...local].filter((one) => !dict.has(one)).map((one) => `LOCAL_ONLY ${one}`),
];
const shown = (divergences: ReturnType<typeof replayLogs>) =>
  divergences.map((found) => `${found.side} ${found.cid.toString('hex')}`);

/** Toggles of CIDs, one after the other: a present CID is removed, an absent one is added. */
const history = fc.array(fc.nat(11), { maxLength: 30 });

function toggled(set: Set<string>, steps: readonly number[]): Set<string> {
  const now = new Set(set);
  for (const n of steps) if (!now.delete(cid(n))) now.add(cid(n));
  return now;
}

function eventsOf(set: Set<string>, steps: readonly number[]): CidSetEvent[] {
  const now = new Set(set);
  return steps.map((n, at) => {
    const type = now.delete(cid(n)) ? ('REMOVED' as const) : ('ADDED' as const);
    if (type === 'ADDED') now.add(cid(n));
    return { type, cid: cid(n), timestamp: new Date(at).toISOString() };
  });
}

function changesOf(set: Set<string>, steps: readonly number[]): LocalChange[] {
  const now = toggled(set, steps);
  return [...new Set(steps)].map((n) => ({
    cid: parseCid(cid(n)),
    // oxlint-disable-next-line unicorn/no-thenable
    then: set.has(cid(n)),
    now: now.has(cid(n)),
  }));
}

const world = fc.record({
  common: fc.uniqueArray(fc.nat(11)),
  /** DICT's events from before the OK that the overlapping window shows again. */
  before: history,
  dict: history,
  local: history,
});

/** Both sides after a common set, and the part of them that the replay receives. */
function replayed({ common, before, dict, local }: typeof world extends fc.Arbitrary<infer T> ? T : never) {
  const older = new Set(common.map(cid));
  const confirmed = toggled(older, before);
  const there = toggled(confirmed, dict);
  const here = toggled(confirmed, local);
  const events = [...eventsOf(older, before), ...eventsOf(confirmed, dict)];
  return { there, here, events, changes: changesOf(confirmed, local) };
}

describe('replaying both logs from a common set', () => {
  it('it shows exactly what differs, however often CIDs appeared and were removed on both sides', () => {
    fc.assert(
      fc.property(world, (given) => {
        const { there, here, events, changes } = replayed(given);
        const found = replayLogs(events, changes, here);
        expect(shown(found).sort()).toEqual(difference(there, here).sort());
        expect(found.map((one) => one.cid.toString('hex'))).toEqual(
          found.map((one) => one.cid.toString('hex')).toSorted(),
        );
        expect(explains(found, vsyncOf(here), vsyncOf(there))).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it('only a right replay counts: a log that misses an event, or a base that differed before, is detected', () => {
    fc.assert(
      fc.property(world, fc.nat(40), fc.constantFrom('event', 'change', 'base'), (given, at, damage) => {
        const { there, here, events, changes } = replayed(given);
        const lost = <T>(list: T[]) => list.filter((_, index) => index !== at % Math.max(list.length, 1));
        // A key changed without its triggers: in the base, but in no log.
        const base = damage === 'base' ? toggled(here, [at % 12]) : here;
        const found = replayLogs(
          damage === 'event' ? lost(events) : events,
          damage === 'change' ? lost(changes) : changes,
          base,
        );
        const right = shown(found).sort().join() === difference(there, base).sort().join();
        expect(explains(found, vsyncOf(base), vsyncOf(there))).toBe(right);
      }),
      { numRuns: 500 },
    );
  });

  it('A → B → A at DICT, and A → B here: only the present state counts', () => {
    const [a, b] = [cid(1), cid(2)];
    const events: CidSetEvent[] = [
      { type: 'REMOVED', cid: a, timestamp: '1' },
      { type: 'ADDED', cid: b, timestamp: '1' },
      { type: 'REMOVED', cid: b, timestamp: '2' },
      { type: 'ADDED', cid: a, timestamp: '2' },
    ];
    const changes = changesOf(new Set([a]), [1, 2]);
    expect(shown(replayLogs(events, changes, new Set([b])))).toEqual([`DICT_ONLY ${a}`, `LOCAL_ONLY ${b}`]);
  });
});
