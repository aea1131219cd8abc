import { execFileSync } from 'node:child_process';
import { readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';

/** A Postgres server that runs on a directory. */
export interface RunningServer {
  pid: number;
  /** Undefined while it starts up or shuts down. */
  port: number | undefined;
}

/**
 * The server's argument that names its directory. It distinguishes the server from another process that got the same
 * process id later, and lets a person find the server in `ps`.
 */
export function identityArgument(directory: string): string {
  return `dict_vsync.directory=${directory}`;
}

/**
 * The server that runs on the directory of an embedded Postgres; undefined if no server runs.
 * Synchronous, because a process calls it while it exits.
 */
export function runningServer(directory: string): RunningServer | undefined {
  // The lines are documented: process id, data directory, start time, port, …, and the status on the eighth.
  const lines = read(join(directory, 'data', 'postmaster.pid')).split('\n');
  const pid = Number(lines[0]);
  if (!pid || !isServer(pid, realpathSync(directory))) return undefined;
  return { pid, port: lines[7]?.trim() === 'ready' ? Number(lines[3]) : undefined };
}

function isServer(pid: number, directory: string): boolean {
  const identity = identityArgument(directory);
  try {
    if (process.platform === 'win32') return process.kill(pid, 0);
    if (process.platform !== 'linux') {
      return execFileSync('ps', ['-ww', '-o', 'args=', '-p', String(pid)], { encoding: 'utf8' }).includes(
        identity,
      );
    }
  } catch {
    return false;
  }
  // Empty for a zombie process, which is not running.
  return read(`/proc/${pid}/cmdline`).split('\0').includes(identity);
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
