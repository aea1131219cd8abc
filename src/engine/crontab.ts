import { Cron } from 'croner';
import { parseCrontab } from 'graphile-worker';
import { DvError } from '../errors/dv-error.ts';

/** One line of the crontab. */
export interface Schedule {
  /** Its name in workflow.schedules: the line's `?id=`, or else its task. */
  name: string;
  task: string;
  timeZone: string;
  /** The ticks after `after` and up to `until`, ascending; at most the `limit` newest. */
  ticks(after: Date, until: Date, limit: number): Date[];
}

const DAY_MS = 86_400_000;

/**
 * Reads a crontab: Graphile Worker's format (`m h dom mon dow task ?opts {payload}`) plus a line `CRON_TZ=<IANA zone>`
 * for the lines after it (default UTC). When clocks are set forward, a tick in the gap moves to the next valid minute.
 * When they are set back, a tick in the repeated hour fires once.
 * Errors: DV_CRONTAB_INVALID.
 */
export function readCrontab(text: string): Schedule[] {
  const schedules: Schedule[] = [];
  let timeZone = 'UTC';
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const zone = /^\s*CRON_TZ\s*=\s*(\S+)\s*$/.exec(line)?.[1];
    if (zone !== undefined) {
      timeZone = checkedZone(zone, index + 1);
    } else if (!/^\s*(#|$)/.test(line)) {
      schedules.push(readLine(line, index + 1, timeZone));
    }
  }
  const names = schedules.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) {
    throw new DvError(
      'DV_CRONTAB_INVALID',
      `The crontab has two lines named "${twice}". Give each its own ?id=.`,
    );
  }
  return schedules;
}

function checkedZone(zone: string, line: number): string {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: zone }).resolvedOptions().timeZone;
  } catch (cause) {
    throw new DvError(
      'DV_CRONTAB_INVALID',
      `Line ${line} of the crontab: "${zone}" is not an IANA time zone.`,
      {
        cause,
      },
    );
  }
}

function readLine(line: string, number: number, timeZone: string): Schedule {
  const pattern = line.trim().split(/\s+/).slice(0, 5).join(' ');
  try {
    const item = parseCrontab(line.trim())[0];
    if (item === undefined) throw new Error('empty');
    const cron = new Cron(pattern, { timezone: timeZone, paused: true });
    return {
      name: item.identifier,
      task: item.task,
      timeZone,
      ticks: (after, until, limit) => ticksOf(cron, after, until, limit),
    };
  } catch (cause) {
    // The parser received a single line and calls it line 1.
    const why = (cause instanceof Error ? cause.message : String(cause))
      .replace(/^Could not process line .*/, 'write five fields for the time, then the task.')
      .replace(/ (on|in) line 1( of crontab)?/, '');
    throw new DvError('DV_CRONTAB_INVALID', `Line ${number} of the crontab cannot be read: ${why}`, {
      cause,
    });
  }
}

function ticksOf(cron: Cron, after: Date, until: Date, limit: number): Date[] {
  // A month is enough: older ticks are too old to fire, and endless SKIPPED rows are useless.
  let at = new Date(Math.max(after.getTime(), until.getTime() - 31 * DAY_MS));
  const found: Date[] = [];
  for (;;) {
    const next = cron.nextRun(at);
    if (next === null || next > until) return found;
    if (next > at) found.push(next);
    if (found.length > limit) found.shift();
    at = next > at ? next : new Date(at.getTime() + 60_000);
  }
}
