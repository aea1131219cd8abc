import { describe, expect, it, vi } from 'vitest';
import { fields, formatCount, formatDuration, table, formatTime } from '../../../src/cli/output/format.ts';
import { progress, progressLine } from '../../../src/cli/output/progress.ts';
import { timeline } from '../../../src/cli/output/timeline.ts';
import type { HistoryEvent } from '../../../src/engine/index.ts';

describe('format', () => {
  it('it aligns a table under its titles', () => {
    expect(
      table(
        ['a', 'long title'],
        [
          ['wider', 'x'],
          ['y', ''],
        ],
      ),
    ).toBe(['a      long title', '-----  ----------', 'wider  x', 'y'].join('\n'));
  });

  it('it counts a wide character as two columns', () => {
    expect(
      table(
        ['name', 'n'],
        [
          ['李小龍', '1'],
          ['José', '2'],
        ],
      ),
    ).toBe(['name    n', '------  -', '李小龍  1', 'José    2'].join('\n'));
  });

  it('it wraps words where the terminal is narrower, and never cuts an id', () => {
    const id = '01a2b3c4-d5e6-7f80-9a1b-2c3d4e5f6071';
    const rows = [
      [id, 'FAILED', 'DICT cannot be reached: check the Bridge, and the network between the two'],
    ];
    expect(table(['run', 'status', 'error'], rows, 80)).toBe(
      [
        `${'run'.padEnd(36)}  status  error`,
        `${'-'.repeat(36)}  ------  ${'-'.repeat(34)}`,
        `${id}  FAILED  DICT cannot be reached: check the`,
        `${' '.repeat(46)}Bridge, and the network between`,
        `${' '.repeat(46)}the two`,
      ].join('\n'),
    );
    expect(table(['run'], [[id]], 20)).toBe(['run', '-'.repeat(36), id].join('\n'));
    // Elsewhere, such as in a pipe, a row stays one line.
    expect(table(['run', 'status', 'error'], rows, Infinity).split('\n')).toHaveLength(3);
  });

  it('it leaves out fields without a value', () => {
    expect(
      fields([
        ['name', 'x'],
        ['none', null],
        ['longest', 'y'],
      ]),
    ).toBe('name     x\nlongest  y');
  });

  it.each([
    [0.346, '0.35 s'],
    [42.4, '42 s'],
    [59.7, '1 min 0 s'],
    [200, '3 min 20 s'],
    [7500, '2 h 5 min'],
  ])('it shows %d seconds as %s', (seconds, text) => {
    expect(formatDuration(seconds)).toBe(text);
  });

  it('it groups digits, and shows times in UTC to the second', () => {
    expect(formatCount(1_234_567)).toBe('1,234,567');
    expect(formatTime(new Date('2026-03-04T05:06:07.890Z'))).toBe('2026-03-04T05:06:07Z');
  });
});

describe('progress', () => {
  function shown(isTTY: boolean, total?: number) {
    vi.useFakeTimers({ toFake: ['performance'] });
    const written: string[] = [];
    const bar = progress('importing keys', total, { isTTY, write: (text) => written.push(text) });
    const after = (ms: number, done: number, share?: number) => {
      vi.advanceTimersByTime(ms);
      bar.update(done, share);
    };
    return { written, after, end: () => bar.end() };
  }

  it('it rewrites one line on a terminal, and clears it at the end', () => {
    const { written, after, end } = shown(true, 1000);
    after(50, 10);
    expect(written).toEqual([]);
    after(950, 250);
    after(10, 260);
    end();
    expect(written).toEqual(['\rimporting keys: 250 at 250/s, 25 %, 3.00 s left\u001B[K', '\r\u001B[K']);
    vi.useRealTimers();
  });

  it('elsewhere it writes a plain line every few seconds', () => {
    const { written, after, end } = shown(false);
    for (let second = 1; second <= 11; second++) after(1000, second * 20_000, second / 20);
    end();
    expect(written).toEqual([
      'importing keys: 100,000 at 20,000/s, 25 %, 15 s left\n',
      'importing keys: 200,000 at 20,000/s, 50 %, 10 s left\n',
    ]);
    vi.useRealTimers();
  });

  it('without a known total it shows neither a share nor the time left', () => {
    expect(progressLine('x', 300, undefined, 2)).toBe('x: 300 at 150/s');
    expect(progressLine('x', 0, 0, 2)).toBe('x: 0 at 0/s');
    expect(progressLine('x', 11, 1.1, 1)).toBe('x: 11 at 11/s, 100 %, 0.00 s left');
  });
});

describe('timeline', () => {
  const began = Date.parse('2026-01-01T03:00:00Z');
  const event = (at: number, name: string, rest: Partial<HistoryEvent> = {}): HistoryEvent => ({
    event: name,
    state: 'apply',
    attempt: 1,
    outcome: null,
    nextState: null,
    at: new Date(began + at * 1000),
    worker: 'w',
    error: null,
    detail: null,
    ...rest,
  });
  const again = (at: number) => [event(at, 'STARTED'), event(at + 0.5, 'COMPLETED', { outcome: 'again' })];
  const error = { code: 'DV_X', class: 'retryable' as const, message: 'Try later.' };

  it('it shows one attempt as one line, and folds those that end alike', () => {
    const items = timeline([
      event(0, 'CREATED', { attempt: 0, detail: { by: 'ana' } }),
      ...again(1),
      ...again(2),
      ...again(3),
      event(4, 'STARTED'),
      event(6, 'COMPLETED', { outcome: 'applied', nextState: 'recalculate' }),
    ]);
    expect(items.map(({ result, times, seconds }) => [result, times, seconds])).toEqual([
      ['created: ana', 1, null],
      ['again', 3, 1.5],
      ['applied', 1, 2],
    ]);
    expect(items[2]).toMatchObject({ attempt: 1, nextState: 'recalculate', at: new Date(began + 4000) });
  });

  it('it shows every failure, every decision and what is in progress', () => {
    const items = timeline([
      event(0, 'STARTED'),
      event(1, 'FAILED', { outcome: 'retry', error }),
      event(2, 'STARTED', { attempt: 2 }),
      event(3, 'ABANDONED', { attempt: 2 }),
      event(4, 'SIGNALLED', { outcome: 'approve', detail: { by: 'ana', reason: 'ticket 1' } }),
      event(5, 'STARTED', { attempt: 3 }),
    ]);
    expect(items.map((item) => [item.attempt, item.result, item.error?.code])).toEqual([
      [1, 'failed', 'DV_X'],
      [2, 'abandoned', undefined],
      [null, 'signalled: approve: ana: ticket 1', undefined],
      [3, 'running', undefined],
    ]);
  });
});
