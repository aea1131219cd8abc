import { dirname, join } from 'node:path';
import { build, type Plugin } from 'rolldown';
import { readFunctionFiles } from '../src/database/migrate/function-files.ts';

/**
 * Not bundled: addons, which are optional and loaded only when used, and a parser for a file type that we do not use.
 */
const EXTERNAL = ['bufferutil', 'pg-native', 'pulsar-client', 'typescript', 'utf-8-validate'];

/** The threads, by the file that starts each. They are separate bundles beside the bundle of the program. */
const THREADS = { 'scan-thread.ts': './scan-worker', 'heartbeat.ts': './heartbeat-worker' };
const threadsBesideBundle: Plugin = {
  name: 'threads-beside-bundle',
  transform(code, id) {
    const thread = Object.entries(THREADS).find(([file]) => id.endsWith(`/${file}`))?.[1];
    if (thread === undefined) return undefined;
    const bundled = code.replaceAll(`'${thread}.ts'`, `'${thread}.cjs'`);
    if (bundled === code) throw new Error(`${id} does not start '${thread}.ts'. Adapt build/bundle.ts.`);
    return bundled;
  },
};

/** The SQL functions. The sources read them from files, a bundle contains them as text. */
const functionsInBundle: Plugin = {
  name: 'functions-in-bundle',
  transform(_, id) {
    if (!id.endsWith('/src/database/migrate/function-files.ts')) return undefined;
    return `export const readFunctionFiles = () => (${JSON.stringify(readFunctionFiles())});`;
  },
};

/** The bundles of the threads, each with its source file. */
export const THREAD_BUNDLES = {
  'scan-worker.cjs': 'src/dict/compare/scan-worker.ts',
  'heartbeat-worker.cjs': 'src/engine/heartbeat-worker.ts',
};

/** Bundles the program into a folder, with its threads beside it. Returns the file of the bundle. */
export async function bundleProgram(root: string, folder: string): Promise<string> {
  return bundleWithThreads(root, 'src/cli/main.ts', join(folder, 'dict-vsync.mjs'));
}

/** Bundles a source file, with all threads beside it. Returns the file of the bundle. */
export async function bundleWithThreads(root: string, source: string, file: string): Promise<string> {
  await bundle(join(root, source), file, 'esm');
  for (const [name, thread] of Object.entries(THREAD_BUNDLES)) {
    await bundle(join(root, thread), join(dirname(file), name), 'cjs');
  }
  return file;
}

/** Bundles a source file and its imports into one file for Node. Throws if anything could be missing. */
async function bundle(input: string, file: string, format: 'esm' | 'cjs'): Promise<void> {
  await build({
    input,
    external: EXTERNAL,
    platform: 'node',
    tsconfig: false,
    plugins: [threadsBesideBundle, functionsInBundle],
    onLog(level, { message }) {
      // A warning (about an import that it cannot find) would otherwise become an error only on the user's machine.
      if (level === 'warn') throw new Error(message);
    },
    output: {
      file,
      format,
      codeSplitting: false,
      comments: { legal: true, annotation: false, jsdoc: false },
      // Names are kept, because people read them in stack traces and logs show the class of an error.
      minify: { compress: true, mangle: false, codegen: true },
    },
  });
}
