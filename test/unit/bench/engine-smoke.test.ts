import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import type { Report } from '../../../bench/support/report.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const installed = (name: string) => existsSync(`${root}/bench/node_modules/${name}`);

test('bench engine runs beside the installed peers, and says why another is missing', async () => {
  const sizes = 'runs 2 steps 3 at-once 2 single 1 one-step 4 rounds 1 signals 2 kills 0 starts 1 idle 1';
  const flags = sizes.replaceAll(/([a-z-]+) (\d+)/g, '--$1 $2').split(' ');
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['bench/main.ts', 'engine', ...flags, '--json'],
    { cwd: root },
  );
  const { rows, notes } = JSON.parse(stdout) as Report;
  const named = (what: string) => rows.filter((row) => row.what.startsWith(what));
  for (const { what, ours } of rows) expect(ours, what).toBeGreaterThan(0);
  expect(named('signal → its step begins, p95')).toHaveLength(1);
  expect(named('worker start → ready')).toHaveLength(1);
  expect(named("an idle worker's statements")).toHaveLength(1);
  const against = named('1-step runs').map((row) => row.against);
  for (const [peer, name] of [
    ['pg-boss', 'pg-boss'],
    ['@dbos-inc/dbos-sdk', 'DBOS Transact'],
  ] as const) {
    if (installed(peer)) expect(against).toContain(name);
    else expect(notes).toContain(`${name} is not installed: npm ci --prefix bench`);
  }
}, 120_000);
