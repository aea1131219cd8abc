import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { inspect } from 'node:util';
import { beforeAll, expect, test, vi } from 'vitest';
import { describeDatabase } from '../../../src/database/connection-error.ts';
import { assertReachable, createPool } from '../../../src/database/pool.ts';
import { useTestDatabase } from '../../support/database.ts';

const database = useTestDatabase();
let closedPort: number;

beforeAll(async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  closedPort = (server.address() as AddressInfo).port;
  server.close();
  await once(server, 'close');
});

test('a connection that breaks while idle is reported and replaced', async () => {
  const onError = vi.fn<(error: Error) => void>();
  const pool = createPool(database.url, { max: 1, onError });
  const { rows } = await pool.query<{ pid: number }>('select pg_backend_pid() as pid');
  await database.pool.query('select pg_terminate_backend($1)', [rows[0]?.pid]);
  await vi.waitFor(() => expect(onError).toHaveBeenCalledOnce());
  expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  await pool.end();
});

test('the options reach the server', async () => {
  const limits = { statementMs: 50, lockMs: 20 };
  const pool = createPool(database.url, { max: 3, applicationName: 'a test', limits });
  expect(pool.options.max).toBe(3);
  expect((await pool.query('show application_name')).rows).toEqual([{ application_name: 'a test' }]);
  await expect(pool.query('select pg_sleep(30)')).rejects.toMatchObject({ code: '57014' });
  expect((await pool.query('show lock_timeout')).rows).toEqual([{ lock_timeout: '20ms' }]);
  await pool.end();
});

test('a session finds names and reads times in one manner, whatever the database prefers', async () => {
  const name = new URL(database.url).pathname.slice(1);
  await database.pool.query(
    `alter database ${name} set search_path = 'public'; alter database ${name} set datestyle = 'SQL, DMY'`,
  );
  const pool = createPool(database.url, { max: 1 });
  const { rows } = await pool.query<{ path: string; style: string; at: Date }>(
    `select current_setting('search_path') as path, current_setting('datestyle') as style,
       timestamptz '2026-02-03 04:05:06+00' as at`,
  );
  expect(rows).toEqual([
    { path: 'pg_catalog, pg_temp', style: 'ISO, YMD', at: new Date('2026-02-03T04:05:06Z') },
  ]);
  await pool.end();
});

test('a reachable database passes', async () => {
  await expect(assertReachable(database.url)).resolves.toBeUndefined();
});

test.each([
  [
    'nobody listens',
    () => `postgres://u:s3cret@127.0.0.1:${closedPort}/x`,
    'DV_DATABASE_UNREACHABLE',
    'retryable',
  ],
  [
    'nobody listens on any address',
    () => `postgres://u:s3cret@localhost:${closedPort}/x`,
    'DV_DATABASE_UNREACHABLE',
    'retryable',
  ],
  [
    'a host that does not exist',
    () => 'postgres://u:s3cret@host.invalid/x',
    'DV_DATABASE_UNREACHABLE',
    'retryable',
  ],
  [
    'a database that does not exist',
    () => edited({ pathname: '/nowhere' }),
    'DV_DATABASE_UNREACHABLE',
    'not_retryable',
  ],
  [
    'wrong user or password',
    () => edited({ username: 'nobody_here', password: 's3cret' }),
    'DV_DATABASE_FORBIDDEN',
    'not_retryable',
  ],
  [
    'a certificate that does not exist',
    () => edited({ search: '?sslmode=verify-full&sslrootcert=/nowhere.pem' }),
    'DV_DATABASE_UNREACHABLE',
    'not_retryable',
  ],
  [
    'a socket that does not exist yet',
    () => 'postgres://u:s3cret@/x?host=/nowhere',
    'DV_DATABASE_UNREACHABLE',
    'retryable',
  ],
  ['no URL', () => 'postgres://u:s3cret@host:port:5/x', 'DV_DATABASE_URL_INVALID', 'not_retryable'],
])('%s: a coded error that keeps the password', async (_, url, code, errorClass) => {
  const error = await assertReachable(url()).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code, class: errorClass });
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('s3cret');
});

test('a database is described without user, password and parameters', () => {
  expect(describeDatabase('postgres://u:s3cret@db.example:5433/pix?sslmode=require')).toBe(
    'db.example:5433/pix',
  );
  expect(describeDatabase('postgres:///pix?host=/run/postgresql&password=s3cret')).toBe(
    '/run/postgresql/pix',
  );
  expect(describeDatabase('nonsense s3cret')).toBe('the given URL');
  expect(describeDatabase('postgres://u:5432/s3cret@db.example/pix')).toBe('the given URL');
});

function edited(parts: Partial<Pick<URL, 'pathname' | 'username' | 'password' | 'search'>>): string {
  return Object.assign(new URL(database.url), parts).href;
}
