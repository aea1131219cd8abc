import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readCrontab, type Schedule } from '../../../src/engine/index.ts';

function only(crontab: string): Schedule {
  const [schedule, ...others] = readCrontab(crontab);
  if (schedule === undefined || others.length > 0) throw new Error('not one line');
  return schedule;
}

/** The ticks of a line from one moment to another, in UTC. */
function ticks(crontab: string, after: string, until: string, limit = 1000): string[] {
  const found = only(crontab).ticks(new Date(after), new Date(until), limit);
  return found.map((tick) => tick.toISOString().replace(':00.000', ''));
}

describe('the format', () => {
  test('it names each line by its id or task, in the time zone above it', () => {
    const crontab = [
      '# a comment',
      '0 3 * * * night',
      '',
      'CRON_TZ=America/Sao_Paulo',
      '  0 3 * * * evening ?id=second {"any": "payload"}',
      'CRON_TZ = UTC\r',
      '*/5 1-3 1,15 * 1 night ?id=third',
    ].join('\n');
    expect(readCrontab(crontab)).toMatchObject([
      { name: 'night', task: 'night', timeZone: 'UTC' },
      { name: 'second', task: 'evening', timeZone: 'America/Sao_Paulo' },
      { name: 'third', task: 'night', timeZone: 'UTC' },
    ]);
    expect(readCrontab('')).toEqual([]);
  });

  test.each([
    ['0 3 * * *', 'Line 1 of the crontab cannot be read: write five fields for the time, then the task.'],
    ['# x\n\n0 3 * * task', 'Line 3 of the crontab cannot be read: write five fields'],
    ['0 3 * * * a\n61 3 * * * b', 'Line 2 of the crontab cannot be read: Too large value'],
    ['0 3 * * * a ?color=red', 'Line 1 of the crontab cannot be read: Options contains unsupported key'],
    ['@daily task', 'Line 1 of the crontab cannot be read: write five fields'],
    [
      'CRON_TZ=UTC\nCRON_TZ=America/Brasilia\n',
      'Line 2 of the crontab: "America/Brasilia" is not an IANA time zone.',
    ],
    ['0 3 * * * a\n0 4 * * * a', 'The crontab has two lines named "a". Give each its own ?id=.'],
    ['0 3 * * * a ?id=x\n0 4 * * * b ?id=x', 'The crontab has two lines named "x".'],
  ])('%j is refused with the line and the reason', (crontab, message) => {
    expect(() => readCrontab(crontab)).toThrow(
      expect.objectContaining({
        code: 'DV_CRONTAB_INVALID',
        message: expect.stringContaining(message) as string,
      }) as Error,
    );
  });
});

describe('ticks', () => {
  const sp = 'CRON_TZ=America/Sao_Paulo\n';
  const ny = 'CRON_TZ=America/New_York\n';

  test('they come after the one moment and up to the other', () => {
    const daily = '0 3 * * * t';
    expect(ticks(daily, '2024-01-08T03:00:00Z', '2024-01-10T03:00:00Z')).toEqual([
      '2024-01-09T03:00Z',
      '2024-01-10T03:00Z',
    ]);
    expect(ticks(daily, '2024-01-08T02:59:59.999Z', '2024-01-08T03:00:00Z')).toEqual(['2024-01-08T03:00Z']);
    expect(ticks(daily, '2024-01-08T03:00:00.001Z', '2024-01-09T02:59:59.999Z')).toEqual([]);
    expect(ticks('0 0 30 2 * t', '2024-01-01T00:00Z', '2024-12-31T00:00Z')).toEqual([]);
  });

  test('they are in the line’s time zone', () => {
    expect(ticks(`${sp}0 3 * * * t`, '2026-01-01T00:00Z', '2026-01-02T00:00Z')).toEqual([
      '2026-01-01T06:00Z',
    ]);
  });

  test('those in a gap come at the next valid minute, once', () => {
    // New York 2024-03-10: 01:59 EST is followed by 03:00 EDT, 07:00 UTC.
    const [before, after] = ['2024-03-09T12:00Z', '2024-03-11T12:00Z'];
    expect(ticks(`${ny}30 2 * * * t`, before, after)).toEqual(['2024-03-10T07:00Z', '2024-03-11T06:30Z']);
    expect(ticks(`${ny}0,30 2,3 10 3 * t`, before, after)).toEqual([
      '2024-03-10T07:00Z',
      '2024-03-10T07:30Z',
    ]);
    // São Paulo 2018-11-04: 23:59 is followed by 01:00, 03:00 UTC.
    expect(ticks(`${sp}0 0 * * * t`, '2018-11-03T12:00Z', '2018-11-05T12:00Z')).toEqual([
      '2018-11-04T03:00Z',
      '2018-11-05T02:00Z',
    ]);
    expect(ticks(`${sp}0 3 * * * t`, '2018-11-03T12:00Z', '2018-11-05T12:00Z')).toEqual([
      '2018-11-04T05:00Z',
      '2018-11-05T05:00Z',
    ]);
  });

  test('those in a fold come once', () => {
    // New York 2024-11-03: 01:00 to 01:59 comes twice, first EDT.
    expect(ticks(`${ny}30 1 * * * t`, '2024-11-02T12:00Z', '2024-11-04T12:00Z')).toEqual([
      '2024-11-03T05:30Z',
      '2024-11-04T06:30Z',
    ]);
    // Also when the first 01:30 is in the past.
    expect(ticks(`${ny}30 1 * * * t`, '2024-11-03T05:30Z', '2024-11-04T06:29Z')).toEqual([]);
    // São Paulo 2018-02-17: 23:00 to 23:59 comes twice.
    expect(ticks(`${sp}30 23 * * * t`, '2018-02-17T12:00Z', '2018-02-19T12:00Z')).toEqual([
      '2018-02-18T01:30Z',
      '2018-02-19T02:30Z',
    ]);
  });

  test('they are the newest when there are more than asked for, and none is older than 31 days', () => {
    expect(ticks('* * * * * t', '2024-01-30T12:00Z', '2024-01-31T00:00Z', 2)).toEqual([
      '2024-01-30T23:59Z',
      '2024-01-31T00:00Z',
    ]);
    expect(ticks('0 3 * * * t', '1970-01-01T00:00Z', '2024-06-01T00:00Z')).toHaveLength(31);
  });

  test('an interval cut anywhere in two has the same ticks', () => {
    const day = 86_400_000;
    const from = Date.UTC(2024, 2, 1);
    const lines = ['30 2 * * *', '*/20 1-3 * * *', '0 0 * * 0', '15 2 10 3 *'].map((line) =>
      only(`${ny}${line} t`),
    );
    fc.assert(
      fc.property(fc.constantFrom(...lines), fc.nat(20 * day), fc.nat(20 * day), (line, one, other) => {
        const [cut, until] = [new Date(from + Math.min(one, other)), new Date(from + Math.max(one, other))];
        const start = new Date(from);
        expect([...line.ticks(start, cut, 1e6), ...line.ticks(cut, until, 1e6)]).toEqual(
          line.ticks(start, until, 1e6),
        );
      }),
      { numRuns: 60 },
    );
  });
});
