import { writeSync } from 'node:fs';

const [how, where, nth = '1'] = (process.env['DICT_VSYNC_CRASH_AT'] ?? '').split(':');
let left = Number(nth);

/**
 * A place where the chaos tests (test/adversity/chaos) kill or freeze this process, and from which it must recover.
 * With DICT_VSYNC_CRASH_AT=kill:<name>[:<n>] the n-th call with this name ends the process by SIGKILL. With stop:<name>
 * it freezes the process by SIGSTOP. Without the variable nothing happens. The tests find the names in the calls of
 * this function, and test every one.
 */
export function crashPoint(name: string): void {
  if (name !== where) return;
  left -= 1;
  if (left !== 0) return;
  writeSync(2, `crash point ${name}\n`);
  process.kill(process.pid, how === 'stop' ? 'SIGSTOP' : 'SIGKILL');
}
