import { execFile } from 'node:child_process';
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { performance } from 'node:perf_hooks';
import { promisify } from 'node:util';
import { bundleProgram, THREAD_BUNDLES } from './bundle.ts';

/**
 * `npm run build`: builds the program as one bundle (dist/dict-vsync.mjs, for the npm installation) with its threads
 * beside it (dist/*-worker.cjs), and as a single executable that contains Node (dist/dict-vsync). See
 * docs/guides/installing.md.
 */

const run = promisify(execFile);
const root = join(import.meta.dirname, '..');
const dist = join(root, 'dist');
const executable = join(dist, process.platform === 'win32' ? 'dict-vsync.exe' : 'dict-vsync');

await rm(dist, { recursive: true, force: true });
await mkdir(dist);
const program = await bundleProgram(root, dist);
const threads = Object.keys(THREAD_BUNDLES);

const workshop = await mkdtemp(join(tmpdir(), 'dict-vsync-build-'));
try {
  await buildExecutable(workshop);
} finally {
  await rm(workshop, { recursive: true });
}

for (const file of [program, ...threads.map((name) => join(dist, name)), executable]) {
  console.log(
    `${relative(root, file)}: ${Math.ceil((await stat(file)).size / 1000).toLocaleString('en')} kB`,
  );
}
const started = performance.now();
const { stdout } = await run(executable, ['--version'], { env: {} });
console.log(`dict-vsync ${stdout.trim()} starts in ${Math.round(performance.now() - started)} ms`);

async function buildExecutable(directory: string): Promise<void> {
  const config = join(directory, 'sea.json');
  await writeFile(
    config,
    JSON.stringify({
      main: program,
      mainFormat: 'module',
      executable: await runtime(join(directory, 'node')),
      output: executable,
      disableExperimentalSEAWarning: true,
      // Halves the start-up time.
      useCodeCache: true,
      assets: await assets(directory),
    }),
  );
  await run(process.execPath, ['--build-sea', config]);
}

/** The Node for the executable: this one, without its symbols (a quarter of its size) if `strip` is available. */
async function runtime(copy: string): Promise<string> {
  if (process.platform !== 'linux') return process.execPath;
  try {
    await copyFile(process.execPath, copy);
    await chmod(copy, 0o755);
    await run('strip', [copy]);
    return copy;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    console.log(
      'There is no `strip` on this machine, so the executable keeps the symbols of Node, about 34 MB.',
    );
    return process.execPath;
  }
}

/** Everything that src/assets.ts reads: its name there and the file that it is made from. */
async function assets(directory: string): Promise<Record<string, string>> {
  const migrations = (await readdir(join(root, 'migrations'))).filter((name) => name.endsWith('.sql'));
  const files = ['crontab', 'proto/bridge.proto', ...migrations.map((name) => `migrations/${name}`)];
  const { name, version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as Record<
    string,
    string
  >;
  const generated = async (file: string, content: unknown): Promise<string> => {
    const path = join(directory, file);
    await writeFile(path, JSON.stringify(content));
    return path;
  };
  return {
    ...Object.fromEntries(files.map((path) => [path, join(root, path)])),
    ...Object.fromEntries(threads.map((name) => [name, join(dist, name)])),
    'package.json': await generated('package.json', { name, version }),
    'assets.json': await generated('assets.json', [...files, ...threads, 'package.json']),
  };
}
