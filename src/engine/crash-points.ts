import { writeSync } from 'node:fs';

const [how, where, nth = '1'] = (process.env['DICT_VSYNC_CRASH_AT'] ?? '').split(':');
let left = Number(nth);

/**
 * A place where the chaos tests (test/adversity/chaos) let this process die: one that the recovery must get over. With
 * DICT_VSYNC_CRASH_AT=kill:<name>[:<n>] the n-th arrival here ends the process by SIGKILL, with stop:<name> it freezes by
 * SIGSTOP; without it nothing happens. The tests find the names by this function's calls, and exercise every one.
 */
export function crashPoint(name: string): void {
  if (name !== where) return;
  left -= 1;
  if (left !== 0) return;
  writeSync(2, `crash point ${name}\n`);
  process.kill(process.pid, how === 'stop' ? 'SIGSTOP' : 'SIGKILL');
}
