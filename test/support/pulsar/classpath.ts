import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { readAsset } from '../../../src/assets.ts';

const run = promisify(execFile);

/** Why this machine cannot run Pulsar itself; undefined when Java (17 or later) and Maven are there. */
export async function missingForJava(): Promise<string | undefined> {
  try {
    // Java prints its version on stderr.
    const { stderr } = await run('java', ['-version']);
    const major = Number(/version "(\d+)/.exec(stderr)?.[1]);
    if (!(major >= 17)) return 'Java is older than 17';
  } catch {
    return 'no Java';
  }
  return run('mvn', ['--version']).then(
    () => undefined,
    () => 'no Maven',
  );
}

/**
 * The class path of a Pulsar standalone. Maven fetches the jars into its own repository (190 MB, once per machine). The
 * list is kept, so that Maven, which takes seconds, runs only once.
 */
export async function pulsarClasspath(): Promise<string> {
  const pom = readAsset('test/support/pulsar/pom.xml');
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'dict-vsync');
  const list = join(cache, `pulsar-${createHash('sha256').update(pom).digest('hex').slice(0, 16)}.classpath`);
  const kept = await readFile(list, 'utf8').catch(() => '');
  if (kept !== '' && kept.split(delimiter).every((jar) => existsSync(jar))) return kept;
  await mkdir(cache, { recursive: true });
  const temporary = await mkdtemp(join(tmpdir(), 'dict-vsync-pom-'));
  try {
    // In a folder of its own: Maven may leave files beside a pom.
    await writeFile(join(temporary, 'pom.xml'), pom);
    await run(
      'mvn',
      [
        '-B',
        '-ntp',
        '-q',
        '-f',
        join(temporary, 'pom.xml'),
        'dependency:build-classpath',
        '-DincludeScope=runtime',
      ].concat(`-Dmdep.outputFile=${join(temporary, 'classpath')}`),
      { maxBuffer: 1 << 24 },
    );
    const classpath = (await readFile(join(temporary, 'classpath'), 'utf8')).trim();
    await copyFile(join(temporary, 'classpath'), `${list}.new`);
    await rename(`${list}.new`, list);
    return classpath;
  } finally {
    await rm(temporary, { recursive: true });
  }
}
