import { describe, expect, it } from 'vitest';
import type { CidSetEvent } from '../../../../src/bridge/index.ts';
import { computeCid } from '../../../../src/dict/entry/cid.ts';
import type { Entry } from '../../../../src/dict/entry/entry.ts';
import { lastEvents, readEventLog } from '../../../../src/dict/event-log/event-log.ts';
import { VSync } from '../../../../src/dict/vsync/vsync.ts';
import type { SimulatedDictOptions } from '../../../../src/simulator/index.ts';
import { CALL, ISPB, bridgeWithDict, keys } from '../../bridge/support.ts';

const START = Date.UTC(2026, 0, 10, 10);
const hex = (entry: Entry) => computeCid(entry).toString('hex');

/** A simulator behind gRPC whose clock the test drives, and its log as the Bridge shows it. */
async function drivenLog(options: SimulatedDictOptions = {}) {
  let now = START;
  const { bridge, dict } = await bridgeWithDict({ limits: 'off', clock: () => now, ...options });
  const read = async (from = START - 1, options: { to?: number; maxPages?: number } = {}) =>
    readEventLog(
      bridge,
      {
        participant: ISPB,
        keyType: 'PHONE',
        from: new Date(from),
        maxPages: options.maxPages ?? 20,
        ...(options.to !== undefined && { to: new Date(options.to) }),
      },
      CALL,
    );
  return {
    dict,
    read,
    pass: (ms: number) => (now += ms),
    vsync: () => dict.directory.set(ISPB, 'PHONE').vsync(),
    pages: () => dict.ledger.count('listCidSetEvents'),
  };
}

describe('reading the event log', () => {
  it('an empty log has no VSync to show, and takes one call', async () => {
    const { dict, read, pages } = await drivenLog();
    dict.directory.seed(keys('PHONE', 3));
    expect(await read()).toEqual({ events: [], unbroken: true, truncated: false });
    expect(pages()).toBe(1);
  });

  it('both ends are inclusive', async () => {
    const { dict, read, pass } = await drivenLog();
    const base = keys('PHONE', 5);
    for (const entry of base) {
      dict.directory.createEntry(entry);
      pass(1000);
    }
    const { events } = await read(START + 1000, { to: START + 3000 });
    expect(events.map(({ cid }) => cid)).toEqual(base.slice(1, 4).map(hex));
  });

  it('pages overlap by their last timestamp: nothing is missing and nothing comes twice', async () => {
    const { dict, read, pass, vsync, pages } = await drivenLog();
    const base = keys('PHONE', 450);
    dict.directory.seed(base.slice(0, 50));
    // Three at each timestamp: the page's edge at 200 falls between equal timestamps.
    for (const [at, entry] of base.slice(50).entries()) {
      dict.directory.createEntry(entry);
      if (at % 3 === 2) pass(1);
    }
    const log = await read();
    expect(log.events.map(({ cid }) => cid)).toEqual(base.slice(50).map(hex));
    expect(log).toMatchObject({ unbroken: true, truncated: false, vsyncEnd: vsync() });
    expect(pages()).toBe(3);
  });

  it('a whole page at one timestamp is stepped over, and nothing is lost', async () => {
    const { dict, read, pass, vsync } = await drivenLog();
    const base = keys('PHONE', 210);
    for (const entry of base.slice(0, 200)) dict.directory.createEntry(entry);
    pass(1);
    for (const entry of base.slice(200)) dict.directory.createEntry(entry);
    const log = await read();
    expect(log.events.map(({ cid }) => cid)).toEqual(base.map(hex));
    expect(log).toMatchObject({ unbroken: true, truncated: false, vsyncEnd: vsync() });
  });

  it.each([
    ['and more follow later', 1],
    ['and nothing follows', 0],
  ])('more than a page at one timestamp cannot be read, which is reported: %s', async (_, later) => {
    const { dict, read, pass } = await drivenLog();
    const base = keys('PHONE', 206);
    for (const entry of base.slice(0, 205)) dict.directory.createEntry(entry);
    pass(1);
    for (const entry of base.slice(205, 205 + later)) dict.directory.createEntry(entry);
    expect((await read()).unbroken).toBe(false);
  });

  it('the last event of a CID decides (A → B → A)', async () => {
    const { dict, read, pass, vsync } = await drivenLog();
    const [entry] = keys('PHONE', 1) as [Entry];
    dict.directory.seed([entry]);
    dict.directory.updateEntry(entry, { name: 'Ana Dias' });
    pass(1);
    dict.directory.updateEntry(entry, { name: entry.name });
    const log = await read();
    expect(log).toMatchObject({ unbroken: true, vsyncEnd: vsync() });
    expect(log.events).toHaveLength(4);
    const last = lastEvents(log.events);
    expect(last.get(hex(entry))?.type).toBe('ADDED');
    expect(last.get(hex({ ...entry, name: 'Ana Dias' }))?.type).toBe('REMOVED');
  });

  it('it ends at maxPages and says so', async () => {
    const { dict, read, pass, pages } = await drivenLog();
    for (const entry of keys('PHONE', 401)) {
      dict.directory.createEntry(entry);
      pass(1);
    }
    expect(await read(START, { maxPages: 2 })).toMatchObject({ truncated: true, unbroken: true });
    expect(pages()).toBe(2);
    expect(await read(START, { maxPages: 3 })).toMatchObject({ truncated: false, unbroken: true });
  });
});

describe('the chain of SyncVerifiers', () => {
  async function threePages() {
    const log = await drivenLog();
    for (const entry of keys('PHONE', 500)) {
      log.dict.directory.createEntry(entry);
      log.pass(1);
    }
    return log;
  }

  it.each<[string, (answer: Record<string, unknown>) => Record<string, unknown>]>([
    ['an event of the page is missing', (answer) => ({ ...answer, events: without(answer, 50) })],
    ['its first event is missing', (answer) => ({ ...answer, events: without(answer, 0) })],
    ['its last event is missing', (answer) => ({ ...answer, events: without(answer, 199) })],
    [
      'its start is another set',
      (answer) => {
        const shift = (name: string) => VSync.parse(String(answer[name])).xor(Buffer.alloc(32, 7)).toHex();
        return {
          ...answer,
          syncVerifierStart: shift('syncVerifierStart'),
          syncVerifierEnd: shift('syncVerifierEnd'),
        };
      },
    ],
    ['its end is wrong', (answer) => ({ ...answer, syncVerifierEnd: 'ab'.repeat(32) })],
  ])('a page that does not link up is noticed: %s', async (_, change) => {
    const { dict, read } = await threePages();
    expect((await read()).unbroken).toBe(true);
    // The second page.
    let page = 0;
    dict.faults.on({
      kind: 'nonsense',
      operation: 'listCidSetEvents',
      change: (answer) => (++page === 2 ? change(answer) : answer),
    });
    expect((await read()).unbroken).toBe(false);
  });

  it('late events are left out while the log does not show them, and the chain still links up', async () => {
    const { dict, read, pass, vsync } = await drivenLog();
    const [before, late, prompt] = keys('PHONE', 3) as [Entry, Entry, Entry];
    dict.directory.createEntry(before);
    pass(100);
    dict.faults.on({ kind: 'late_events', delayMs: 5000, times: 1 });
    dict.directory.createEntry(late);
    pass(100);
    dict.directory.createEntry(prompt);
    const shown = await read();
    expect(shown.events.map(({ cid }) => cid)).toEqual([before, prompt].map(hex));
    expect(shown).toMatchObject({ unbroken: true });
    expect(shown.vsyncEnd).not.toBe(vsync());
    pass(5000);
    const whole = await read();
    expect(whole.events.map(({ cid }) => cid)).toEqual([before, late, prompt].map(hex));
    expect(whole).toMatchObject({ unbroken: true, vsyncEnd: vsync() });
  });

  it('an event that appears behind us, between two pages, is noticed', async () => {
    const { dict, read, pass } = await drivenLog();
    const base = keys('PHONE', 401);
    dict.faults.on({ kind: 'late_events', delayMs: 5000, times: 1 });
    for (const entry of base) {
      dict.directory.createEntry(entry);
      pass(1);
    }
    let page = 0;
    dict.faults.on({
      kind: 'nonsense',
      operation: 'listCidSetEvents',
      change: (answer) => {
        if (++page === 1) pass(5000);
        return answer;
      },
    });
    expect((await read()).unbroken).toBe(false);
    expect(await read()).toMatchObject({ unbroken: true });
  });
});

function without(answer: Record<string, unknown>, at: number): CidSetEvent[] {
  return (answer['events'] as CidSetEvent[]).filter((_, index) => index !== at);
}
