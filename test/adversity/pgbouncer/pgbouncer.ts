import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { vi } from 'vitest';
import { assertReachable } from '../../../src/database/pool.ts';
import { freePort } from '../../support/free-port.ts';

/** Debian's package puts it where a user's PATH may not lead. */
const PROGRAM = ['pgbouncer', '/usr/sbin/pgbouncer'].find(
  (name) => spawnSync(name, ['--version']).status === 0,
);

/** Why PgBouncer cannot run here; undefined when it can. */
export const NO_PGBOUNCER = PROGRAM === undefined ? 'pgbouncer is not installed' : undefined;

export interface PgBouncer {
  /** The database through PgBouncer, pooled by transaction. */
  url: string;
  stop(): Promise<void>;
}

/** A PgBouncer with few connections in front of a database, in transaction mode. */
export async function startPgBouncer(databaseUrl: string, connections: number): Promise<PgBouncer> {
  const directory = await mkdtemp(join(tmpdir(), 'dict-vsync-pgbouncer-'));
  const { hostname, port, username, password, pathname } = new URL(databaseUrl);
  const free = await freePort();
  const config = join(directory, 'pgbouncer.ini');
  await writeFile(
    config,
    `[databases]
* = host=${hostname} port=${port} user=${username} password=${decodeURIComponent(password)}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${free}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = ${connections}
max_client_conn = 200
`,
  );
  // It refuses to run as root.
  const account = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
  await chmod(directory, 0o755);
  const child: ChildProcess = spawn(PROGRAM ?? '', ['-q', config], { ...account, stdio: 'ignore' });
  const exited = once(child, 'exit');
  const url = new URL('postgres://127.0.0.1');
  Object.assign(url, { port: String(free), username, password, pathname });
  await vi.waitFor(async () => assertReachable(url.href), { timeout: 10_000 });
  return {
    url: url.href,
    stop: async () => {
      child.kill('SIGINT');
      // At the first signal it waits for its clients; the second ends it.
      child.kill('SIGTERM');
      await exited;
      await rm(directory, { recursive: true });
    },
  };
}
