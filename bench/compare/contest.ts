import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { bundleWithThreads } from '../../build/bundle.ts';
import type { KeyType } from '../../src/dict/entry/key-type.ts';
import { runProgram, runScript } from '../support/child.ts';
import type { BenchDatabase } from '../support/postgres.ts';
import { seconds } from '../support/statistics.ts';
import { antiJoins } from './anti-joins.ts';
import type { CompareAnswer, CompareInput } from './ours.ts';

/** A CID file, the base it is compared with, and what must be found. */
export interface Case {
  path: string;
  keyType: KeyType;
  dictOnly: number;
  localOnly: number;
}

export type Method = 'ours' | 'sha256sum' | 'openssl' | 'antiJoins' | 'set';

/** Bundles ours under `directory`, as `npm run build` bundles the program; returns the bundle's file. */
export async function bundleOurs(directory: string): Promise<string> {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  return bundleWithThreads(root, 'bench/compare/ours.ts', join(directory, 'bundle', 'ours.mjs'));
}

/** Runs the methods of comparing, checks what each finds, and keeps what each took. */
export class Contest {
  readonly #seconds = new Map<string, number[]>();
  readonly #peaks = new Map<string, number[]>();
  readonly #database: BenchDatabase;
  readonly #directory: string;
  readonly #program: string;

  /** `program`: ours, as made by bundleOurs. */
  constructor(database: BenchDatabase, directory: string, program: string) {
    this.#database = database;
    this.#directory = directory;
    this.#program = program;
  }

  async ours(one: Case): Promise<CompareAnswer> {
    return this.#script(one, 'ours', pathToFileURL(this.#program), []);
  }

  async set(one: Case): Promise<void> {
    await this.#script(one, 'set', new URL('./set.ts', import.meta.url), ['--max-old-space-size=16384']);
  }

  /** The file's SHA-256 alone, where that program exists. */
  async sha256sum({ path }: Case): Promise<void> {
    keep(this.#seconds, path, 'sha256sum', (await runProgram('sha256sum', [path]))?.seconds);
  }

  async openssl({ path }: Case): Promise<void> {
    keep(this.#seconds, path, 'openssl', (await runProgram('openssl', ['dgst', '-sha256', path]))?.seconds);
  }

  async antiJoins(one: Case): Promise<void> {
    const took = await seconds(async () =>
      check(one, await antiJoins(this.#database.pool, one.keyType, one.path)),
    );
    keep(this.#seconds, one.path, 'antiJoins', took);
  }

  /** The figures of our program and of another method, as a row needs them. */
  times(one: Case, method: Method, what: string, against: string) {
    const of = (which: Method) => this.#seconds.get(name(one.path, which)) ?? [];
    return { what, unit: 's' as const, ours: of('ours'), against, theirs: of(method) };
  }

  peaks(one: Case, method: Method): number[] {
    return this.#peaks.get(name(one.path, method)) ?? [];
  }

  async #script(one: Case, method: Method, script: URL, nodeOptions: string[]): Promise<CompareAnswer> {
    const { path, keyType } = one;
    const input: CompareInput = { url: this.#database.url, keyType, path, directory: this.#directory };
    const run = await runScript<CompareAnswer>(script, input, nodeOptions);
    check(one, run.answer);
    keep(this.#seconds, path, method, run.seconds);
    keep(this.#peaks, path, method, run.answer.peakMb);
    return run.answer;
  }

  /** Another method, with no figures yet. */
  next(): Contest {
    return new Contest(this.#database, this.#directory, this.#program);
  }
}

function name(path: string, method: Method): string {
  return `${method} ${path}`;
}

function keep(of: Map<string, number[]>, path: string, method: Method, value: number | undefined): void {
  if (value === undefined) return;
  of.set(name(path, method), [...(of.get(name(path, method)) ?? []), value]);
}

/** Fails when a method finds something else. */
function check(one: Case, found: { dictOnly: number; localOnly: number }): void {
  if (found.dictOnly === one.dictOnly && found.localOnly === one.localOnly) return;
  throw new Error(
    `Found ${found.dictOnly} and ${found.localOnly} instead of ${one.dictOnly} and ${one.localOnly} CIDs on one side only.`,
  );
}
