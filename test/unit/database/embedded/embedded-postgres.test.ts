import { chmod, cp, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  findBinaries,
  reachableBinaries,
  removeCopy,
  serverAccount,
} from '../../../../src/database/embedded/embedded-binaries.ts';
import { runningServer } from '../../../../src/database/embedded/embedded-process.ts';
import {
  startEmbeddedPostgres,
  stopEmbeddedPostgres,
  THROWAWAY_SETTINGS,
} from '../../../../src/database/embedded/embedded-postgres.ts';
import { connect } from '../../../../src/database/pool.ts';

const isRoot = process.getuid?.() === 0;
// mkdtemp makes it for its owner only: for root that is a directory that the server's user cannot enter.
let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dict-vsync-embedded-'));
});
afterEach(async () => {
  await stopEmbeddedPostgres(directory);
  await rm(directory, { recursive: true });
});

function start(
  settings: Record<string, string> = THROWAWAY_SETTINGS,
): ReturnType<typeof startEmbeddedPostgres> {
  return startEmbeddedPostgres({ directory, settings });
}

async function ask(url: string, sql: string): Promise<unknown> {
  const client = await connect(url, 'test');
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows[0];
  } finally {
    await client.end();
  }
}

test('it is a UTF8 database of its own, only on the loopback interface, with the requested settings', async () => {
  const { url, stop } = await start();
  expect(
    await ask(
      url,
      `select current_database() as database, current_user as user, getdatabaseencoding() as encoding,
              datlocprovider as provider, datlocale as locale, current_setting('listen_addresses') as addresses,
              current_setting('unix_socket_directories') as sockets, current_setting('fsync') as fsync
       from pg_database where datname = current_database()`,
    ),
  ).toEqual({
    database: 'dict_vsync',
    user: 'postgres',
    encoding: 'UTF8',
    provider: 'b',
    locale: 'C.UTF-8',
    addresses: '127.0.0.1',
    sockets: '',
    fsync: 'off',
  });
  expect((await stat(join(directory, 'password'))).mode & 0o777).toBe(0o600);
  await stop();
  expect(runningServer(directory)).toBeUndefined();
});

test('without settings the data are durable, and stay between starts', async () => {
  const first = await start({});
  expect(
    await ask(
      first.url,
      "select current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit",
    ),
  ).toEqual({ fsync: 'on', commit: 'on' });
  await ask(first.url, 'create table public.kept as select 1 as one');
  await first.stop();
  const second = await start();
  expect(await ask(second.url, 'table public.kept')).toEqual({ one: 1 });
});

test('it requires the password', async () => {
  const { url } = await start();
  const wrong = Object.assign(new URL(url), { password: 'wrong' }).href;
  await expect(connect(wrong, 'test')).rejects.toMatchObject({ code: 'DV_DATABASE_FORBIDDEN' });
});

test('a running server is used, not started again', async () => {
  const one = await start();
  const before = runningServer(directory);
  const two = await start();
  expect(two.url).toBe(one.url);
  expect(runningServer(directory)).toEqual(before);
});

test('a killed server starts again, though another program has its process id by now', async () => {
  const { url } = await start({});
  await ask(url, 'create table public.kept as select 1 as one');
  const pid = runningServer(directory)?.pid ?? 0;
  const pidFile = join(directory, 'data', 'postmaster.pid');
  const text = await readFile(pidFile, 'utf8');
  process.kill(pid, 'SIGKILL');
  await expect.poll(() => runningServer(directory)).toBeUndefined();
  await writeFile(pidFile, text.replace(String(pid), String(process.pid)));
  const again = await start();
  expect(await ask(again.url, 'table public.kept')).toEqual({ one: 1 });
});

test('the log contains nothing of the statements that fail', async () => {
  const { url } = await start();
  await ask(url, 'create table public.keys (key text primary key)');
  await ask(url, "insert into public.keys values ('s3cret-key')");
  await expect(ask(url, "insert into public.keys values ('s3cret-key')")).rejects.toThrow('duplicate key');
  const log = await readFile(join(directory, 'postgres.log'), 'utf8');
  expect(log).toContain('duplicate key');
  expect(log).not.toContain('s3cret-key');
});

test('the error of a server that does not start quotes its log', async () => {
  await expect(start({ shared_buffers: 'plenty' })).rejects.toMatchObject({
    code: 'DV_EMBEDDED_POSTGRES_FAILED',
    message: expect.stringContaining('"shared_buffers": "plenty"') as string,
  });
});

test('a cluster whose creation was interrupted is created again', async () => {
  await mkdir(join(directory, 'data.new', 'base'), { recursive: true });
  await writeFile(join(directory, 'password'), 'of the interrupted one');
  const { url } = await start();
  expect(await ask(url, 'select 1 as one')).toEqual({ one: 1 });
});

test('on a platform without Postgres binaries the error says what else to do', async () => {
  const { arch } = process;
  Object.defineProperty(process, 'arch', { value: 'pdp11' });
  try {
    await expect(findBinaries()).rejects.toMatchObject({
      code: 'DV_EMBEDDED_POSTGRES_MISSING',
      message: expect.stringContaining('DATABASE_URL or --database') as string,
    });
  } finally {
    Object.defineProperty(process, 'arch', { value: arch });
  }
});

test.runIf(isRoot)('as root it runs as another user, also where only root has access', async () => {
  expect((await stat(directory)).mode & 0o777).toBe(0o700);
  const { url } = await start();
  expect((await stat(join(directory, 'data'))).uid).not.toBe(0);
  const server = await stat(`/proc/${runningServer(directory)?.pid}`);
  expect(server.uid).toBe((await stat(join(directory, 'data'))).uid);
  expect(await ask(url, 'select pg_reload_conf() as reloaded')).toEqual({ reloaded: true });
});

test.runIf(isRoot)(
  'as root, binaries that only root can reach are copied, and the copy is removed',
  async () => {
    const account = await serverAccount(join(directory, 'data'));
    const original = await findBinaries();
    const hidden = join(directory, 'native');
    await cp(dirname(dirname(original.postgres)), hidden, { recursive: true, verbatimSymlinks: true });
    const bin = { postgres: join(hidden, 'bin', 'postgres'), initdb: join(hidden, 'bin', 'initdb') };
    const copied = await reachableBinaries(bin, account, join(directory, 'binaries'));
    expect(copied.postgres).not.toBe(bin.postgres);
    await removeCopy(join(directory, 'binaries'));
    await expect(stat(copied.postgres)).rejects.toMatchObject({ code: 'ENOENT' });
    await chmod(directory, 0o755);
    expect(await reachableBinaries(bin, account, join(directory, 'binaries'))).toEqual(bin);
  },
);
