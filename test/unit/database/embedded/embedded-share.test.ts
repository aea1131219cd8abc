import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runningServer } from '../../../../src/database/embedded/embedded-process.ts';
import { shareEmbeddedPostgres } from '../../../../src/database/embedded/embedded-share.ts';
import { stopEmbeddedPostgres } from '../../../../src/database/embedded/embedded-postgres.ts';
import { assertReachable, connect } from '../../../../src/database/pool.ts';

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dict-vsync-share-'));
});
afterAll(async () => {
  await stopEmbeddedPostgres(directory);
  await rm(directory, { recursive: true });
});

interface Command {
  process: ChildProcess;
  url: string;
}

async function startCommand(): Promise<Command> {
  const program = fileURLToPath(new URL('./share-child.ts', import.meta.url));
  const child = fork(program, [directory], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
  const [url] = (await once(child, 'message')) as [string];
  return { process: child, url };
}

async function end({ process: child }: Command, how: 'stop' | 'crash' | 'kill -9'): Promise<void> {
  const exit = once(child, 'exit');
  if (how === 'kill -9') child.kill('SIGKILL');
  else child.send(how);
  await exit;
}

test('commands share one server, and the last one to leave stops it', async () => {
  const [one, two] = await Promise.all([startCommand(), startCommand()]);
  expect(two.url).toBe(one.url);
  await end(one, 'stop');
  await assertReachable(two.url);
  await end(two, 'stop');
  expect(runningServer(directory)).toBeUndefined();
});

test('a command killed with kill -9 neither stops the server for the others nor keeps it up', async () => {
  const killed = await startCommand();
  const other = await startCommand();
  await end(killed, 'kill -9');
  await assertReachable(other.url);
  await end(other, 'stop');
  expect(runningServer(directory)).toBeUndefined();
});

test('a server left over by kill -9 is taken over by the next command, and ends with it', async () => {
  const killed = await startCommand();
  await end(killed, 'kill -9');
  const left = runningServer(directory);
  expect(left).toBeDefined();
  const next = await startCommand();
  expect(next.url).toBe(killed.url);
  expect(runningServer(directory)).toEqual(left);
  await end(next, 'stop');
  expect(runningServer(directory)).toBeUndefined();
});

test('a command that crashes takes the server with it when it was the last', async () => {
  const crashing = await startCommand();
  await end(crashing, 'crash');
  await expect.poll(() => runningServer(directory)).toBeUndefined();
});

test('it counts users, not processes; leaving twice is harmless, and the data stay', async () => {
  const one = await shareEmbeddedPostgres(directory);
  const two = await shareEmbeddedPostgres(directory);
  const client = await connect(one.url, 'test');
  await client.query('create table public.kept as select 1 as one');
  await client.end();
  await Promise.all([one.stop(), one.stop()]);
  await assertReachable(two.url);
  await two.stop();
  expect(runningServer(directory)).toBeUndefined();

  const later = await shareEmbeddedPostgres(directory);
  const again = await connect(later.url, 'test');
  expect((await again.query('table public.kept')).rows).toEqual([{ one: 1 }]);
  await again.end();
  await later.stop();
});
