import { dirname, join } from 'node:path';
import { build, type Plugin } from 'rolldown';
import { readFunctionFiles } from '../src/database/migrate/function-files.ts';

/** Left out: addons, which are optional and loaded only when used, and a parser of a kind of file we don't have. */
const EXTERNAL = ['bufferutil', 'pg-native', 'pulsar-client', 'typescript', 'utf-8-validate'];

/** The threads, by the file that starts each: bundles of their own, which the program's bundle finds beside itself. */
const THREADS = { 'scan-thread.ts': './scan-worker', 'heartbeat.ts': './heartbeat-worker' };
const threadsBesideBundle: Plugin = {
  name: 'threads-beside-bundle',
  transform(code, id) {
    const thread = Object.entries(THREADS).find(([file]) => id.endsWith(`/${file}`))?.[1];
    if (thread === undefined) return undefined;
    const bundled = code.replaceAll(`'${thread}.ts'`, `'${thread}.cjs'`);
    if (bundled === code) throw new Error(`${id} starts no '${thread}.ts': build/bundle.ts must follow it.`);
    return bundled;
  },
};

/** The SQL functions, which the sources read from their files: in a bundle they are text. */
const functionsInBundle: Plugin = {
  name: 'functions-in-bundle',
  transform(_, id) {
    if (!id.endsWith('/src/database/migrate/function-files.ts')) return undefined;
    return `export const readFunctionFiles = () => (${JSON.stringify(readFunctionFiles())});`;
  },
};

/** The bundles of its threads, by the source each is made from. */
export const THREAD_BUNDLES = {
  'scan-worker.cjs': 'src/dict/compare/scan-worker.ts',
  'heartbeat-worker.cjs': 'src/engine/heartbeat-worker.ts',
};

/** The program as one bundle in a folder, with its threads beside it; the bundle's file. */
export async function bundleProgram(root: string, folder: string): Promise<string> {
  return bundleWithThreads(root, 'src/cli/main.ts', join(folder, 'dict-vsync.mjs'));
}

/** A source file as one bundle, with all threads beside it, whichever it uses; the bundle's file. */
export async function bundleWithThreads(root: string, source: string, file: string): Promise<string> {
  await bundle(join(root, source), file, 'esm');
  for (const [name, thread] of Object.entries(THREAD_BUNDLES)) {
    await bundle(join(root, thread), join(dirname(file), name), 'cjs');
  }
  return file;
}

/** Bundles a source file and all it imports into one file for Node. Throws when anything could be missing in it. */
async function bundle(input: string, file: string, format: 'esm' | 'cjs'): Promise<void> {
  await build({
    input,
    external: EXTERNAL,
    platform: 'node',
    tsconfig: false,
    plugins: [threadsBesideBundle, functionsInBundle],
    onLog(level, { message }) {
      // What it warns of (an import it cannot find) would fail only later, at a user's.
      if (level === 'warn') throw new Error(message);
    },
    output: {
      file,
      format,
      codeSplitting: false,
      comments: { legal: true, annotation: false, jsdoc: false },
      // Names stay: people read them in stack traces, and logs tell errors by their class.
      minify: { compress: true, mangle: false, codegen: true },
    },
  });
}
