import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { VERSION } from '../../../src/cli/version.ts';
import { createEmptyDatabase } from '../../support/database.ts';
import { expectRefusal, spawned, start } from './support.ts';

const BIN = fileURLToPath(new URL('../../../bin/dict-vsync.js', import.meta.url));
/** Makes the process believe that it is an older Node. */
const OLDER_NODE = [
  '--import',
  `data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'20.1.0'}})`,
];
const CSV =
  'participant,key_type,key,request_id,owner_type,tax_id_number,name,trade_name,branch,account_number,account_type,opening_date\n' +
  '12345678,PHONE,+5511987654321,a946d533-7f22-42a5-9a9b-e87cd55c0f4d,,11122233300,João Silva,,0001,0007654321,CACC,2010-01-10\n';

describe('the program as a process', () => {
  it('it migrates, imports, and verifies nothing without a worker: one JSON document each, notes on stderr', async () => {
    const database = await createEmptyDatabase();
    try {
      const env = { DATABASE_URL: database.url, LOG_LEVEL: 'trace' };
      expectRefusal(await spawned(['list', '--json'], { env }), 2, 'DV_DATABASE_NOT_MIGRATED');
      const migrated = await spawned(['migrate', '--json'], { env });
      expect(migrated.exitCode).toBe(0);
      expect(migrated.json<{ applied: string[] }>().applied.length).toBeGreaterThan(1);
      const imported = await spawned(['import', '-', '--json'], { env, stdin: CSV });
      expect(imported.json()).toMatchObject({ read: 1, changed: 1 });
      const begun = await spawned(['start', 'verification', '--participant', '12345678', '--json'], { env });
      expect(begun.json<{ runs: unknown[] }>().runs).toHaveLength(1);
      expect(begun).toMatchObject({
        exitCode: 0,
        stderr: expect.stringMatching(/^No worker is alive/) as string,
      });
    } finally {
      await database.drop();
    }
  });

  it('it ends well when its reader stops reading', async () => {
    const child = start(['--help']);
    child.stdout.destroy();
    const [[code], stderr] = await Promise.all([once(child, 'exit'), text(child.stderr)]);
    expect({ code: code as number, stderr }).toEqual({ code: 0, stderr: '' });
  });
});

describe('bin/dict-vsync.js', () => {
  it.each([
    ['a Node that is new enough', []],
    ['an older Node, by the runtime of the package node', OLDER_NODE],
  ])('on %s, it passes arguments and exit code through', async (_what, nodeFlags) => {
    expect(await spawned(['--version'], { program: BIN, nodeFlags })).toMatchObject({
      exitCode: 0,
      stdout: `${VERSION}\n`,
      stderr: '',
    });
    expectRefusal(await spawned(['lits'], { program: BIN, nodeFlags }), 2, 'DV_USAGE');
  });

  it.each([
    ['SIGTERM', []],
    ['SIGTERM', OLDER_NODE],
    ['SIGINT', OLDER_NODE],
  ] as const)('it passes %s through to the simulator, which exits 0 %#', async (signal, nodeFlags) => {
    const child = start(['simulator', '--port', '0', '--keys', '1', '--json'], { program: BIN, nodeFlags });
    const exit = once(child, 'exit');
    let stdout = '';
    for await (const part of child.stdout) {
      stdout += String(part);
      if (stdout.includes('}\n')) child.kill(signal);
    }
    expect(await exit).toEqual([0, null]);
    expect(JSON.parse(stdout)).toMatchObject({
      address: expect.stringMatching(/^127\.0\.0\.1:\d+$/) as string,
    });
  });

  it('it says so when no runtime is new enough', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dict-vsync-bin-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    await mkdir(join(folder, 'bin'));
    await writeFile(join(folder, 'package.json'), '{"type": "module"}');
    await copyFile(BIN, join(folder, 'bin/dict-vsync.js'));
    const refused = await spawned(['list'], {
      program: join(folder, 'bin/dict-vsync.js'),
      nodeFlags: OLDER_NODE,
    });
    expectRefusal(refused, 2, 'DV_NODE_TOO_OLD');
    expect(refused.stderr).toContain('Node 20.1.0');
  });
});
