import type { CidSet } from './cid-set.ts';
import { CidSetFile } from './cid-set-file.ts';
import type { FileOptions } from './cid-set-file.ts';
import type { FileFault } from './faults.ts';
import type { Random } from './random.ts';

/** File contents kept for each participant and key type. The download of older files answers 410. */
const KEPT_CONTENTS = 5;

/** All CID files that were ever requested. */
export class CidSetFiles {
  readonly #files: CidSetFile[] = [];
  readonly #unfinished = new Map<CidSet, CidSetFile[]>();
  readonly #withContent = new Map<CidSet, CidSetFile[]>();
  readonly #options: FileOptions;
  readonly #random: Random;

  constructor(options: FileOptions, random: Random) {
    this.#options = options;
    this.#random = random;
  }

  request(
    about: { participant: string; keyType: string; requestTime: number },
    set: CidSet,
    faults: readonly FileFault[],
  ): CidSetFile {
    const id = String(this.#files.length + 1);
    const file = new CidSetFile({ id, ...about }, set, faults, this.#options, this.#random);
    this.#files.push(file);
    this.#unfinished.set(set, [...(this.#unfinished.get(set) ?? []), file]);
    return file;
  }

  /** The file as it is at `now`. */
  get(id: string, set: (file: CidSetFile) => CidSet, now: number): CidSetFile | undefined {
    const file = /^[0-9]+$/.test(id) ? this.#files[Number(id) - 1] : undefined;
    if (file !== undefined) this.settle(set(file), now);
    return file;
  }

  /**
   * Takes the snapshots that are due. Called before the set changes, so that each shows the set at its CreationTime.
   */
  settle(set: CidSet, now: number): void {
    const unfinished = this.#unfinished.get(set);
    if (unfinished === undefined || unfinished.length === 0) return;
    const made = unfinished.filter((file) => file.settle(now));
    if (made.length === 0) return;
    this.#unfinished.set(
      set,
      unfinished.filter((file) => !made.includes(file)),
    );
    const kept = [...(this.#withContent.get(set) ?? []), ...made];
    for (const file of kept.splice(0, Math.max(0, kept.length - KEPT_CONTENTS))) file.forget();
    this.#withContent.set(set, kept);
  }
}
