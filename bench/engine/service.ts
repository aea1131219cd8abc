import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { symlink } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from 'pg';
import { bundleProgram } from '../../build/bundle.ts';

/** `dict-vsync worker`, as it is deployed, ready to work. */
export interface Service {
  /** Milliseconds from the start of the process until /readyz was OK. */
  startedInMs: number;
  stop(): Promise<void>;
}

/** Bundles the program under `directory`, as `npm run build` does; returns the bundle's file. */
export async function bundleIn(directory: string): Promise<string> {
  const root = new URL('../../', import.meta.url);
  // The bundle looks for them one folder up.
  for (const shipped of ['migrations', 'proto', 'crontab', 'package.json']) {
    await symlink(new URL(shipped, root).pathname, join(directory, shipped));
  }
  return bundleProgram(root.pathname, join(directory, 'dist'));
}

/** Starts a bundled service; `resources` ends it at the latest. */
export async function startService(
  program: string,
  environment: Record<string, string>,
  resources: AsyncDisposableStack,
): Promise<Service> {
  const port = await freePort();
  const began = performance.now();
  const child = spawn(process.execPath, [program, 'worker'], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, ...environment, HTTP_HOST: '127.0.0.1', HTTP_PORT: String(port) },
  });
  resources.defer(() => void child.kill('SIGKILL'));
  while (!(await ready(port))) {
    if (child.exitCode !== null) throw new Error('The worker ended.');
    await delay(10);
  }
  return { startedInMs: performance.now() - began, stop: async () => stop(child) };
}

async function ready(port: number): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${port}/readyz`)).ok;
  } catch {
    return false;
  }
}

async function stop(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  await gone;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** How many statements the server executed: those from clients; statements inside functions are not counted. */
export async function statementsOf(pool: Pool, database: string): Promise<number> {
  const { rows } = await pool.query<{ calls: number }>(
    `select coalesce(sum(calls), 0)::float8 as calls
     from public.pg_stat_statements s join pg_database d on d.oid = s.dbid where d.datname = $1`,
    [database],
  );
  return rows[0]!.calls;
}
