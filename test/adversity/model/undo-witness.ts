import type { Pool } from 'pg';
import type { Entry } from '../../../src/dict/entry/entry.ts';
import { describe } from './describe.ts';

interface Undone {
  undoRunId: string;
  runId: string;
  key: string;
  decision: string;
  result: 'UNDONE' | 'NEWER';
  before: Entry | null;
  after: Entry | null;
}

/** What a run did to a key: what the key was before the run's first change, and the run's last decision. */
interface Change {
  original: Entry | undefined;
  decision: string;
}

/** What an undo put back, as the base now is. */
export interface PutBack {
  key: string;
  entry: Entry | undefined;
}

/**
 * Checks undos against docs/guides/undo.md: a key is put back only where nothing newer touched it, and held until
 * released.
 */
export class UndoWitness {
  /** Who changed each key last: a run's id, or the bank. */
  readonly #last = new Map<string, string>();
  readonly #changes = new Map<string, Map<string, Change>>();
  readonly #seen = new Set<string>();
  readonly #everHeld = new Set<string>();
  /** Keys that no reconciliation may touch. */
  readonly held = new Set<string>();
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  bankChanged(key: string): void {
    this.#last.set(key, 'the bank');
  }

  repaired(runId: string, key: string, decision: string, original: Entry | undefined): void {
    const changes = this.#changes.get(runId) ?? new Map<string, Change>();
    const before = changes.get(key);
    changes.set(key, { original: before === undefined ? original : before.original, decision });
    this.#changes.set(runId, changes);
    this.#last.set(key, runId);
  }

  released(keys: readonly string[]): void {
    for (const key of keys) this.held.delete(key);
  }

  /** What is wrong with a reconciliation's decision about a key, as far as held keys are concerned. */
  objection(decision: string, key: string | null): string | undefined {
    if (key === null) return undefined;
    if (decision === 'HELD') return this.#everHeld.has(key) ? undefined : 'nobody ever held it';
    const changes = decision === 'ADDED' || decision === 'CORRECTED' || decision === 'REMOVED';
    return changes && this.held.has(key) ? 'the key is held by a person' : undefined;
  }

  /**
   * A step of an undo has ended (or its worker crashed in it): judges what it did by the base before it; returns what
   * it put back.
   */
  async afterStep(base: ReadonlyMap<string, Entry>): Promise<PutBack[]> {
    const { rows } = await this.#pool.query<Undone>(
      `select undo_run_id as "undoRunId", run_id as "runId", key, decision, result, before, after
       from dict.undone order by at, undo_run_id, key`,
    );
    const putBack: PutBack[] = [];
    for (const undone of rows.filter(({ runId, key }) => !this.#seen.has(`${runId} ${key}`))) {
      const { undoRunId, runId, key, result } = undone;
      this.#seen.add(`${runId} ${key}`);
      const original = this.#judge(undone, base.get(key));
      if (result === 'NEWER') continue;
      putBack.push({ key, entry: original });
      this.#last.set(key, undoRunId);
      this.held.add(key);
      this.#everHeld.add(key);
    }
    await this.#expectComplete();
    return putBack;
  }

  #judge({ runId, key, decision, result, before, after }: Undone, present: Entry | undefined) {
    const wrong = (why: string) => {
      throw new Error(`the undo of key ${key} (${decision}) came to ${result}, but ${why}`);
    };
    const change = this.#changes.get(runId)?.get(key);
    if (change === undefined) return wrong('its run did not change it');
    if (change.decision !== decision) wrong(`its run did ${change.decision}`);
    const last = this.#last.get(key);
    if ((last === runId) !== (result === 'UNDONE')) wrong(`${last} changed it last`);
    if (describe(before) !== describe(present))
      wrong(`before is ${describe(before)}, not ${describe(present)}`);
    const left = result === 'UNDONE' ? change.original : present;
    if (describe(after) !== describe(left)) wrong(`after is ${describe(after)}, not ${describe(left)}`);
    return change.original;
  }

  /** Checks that an undo that ended well processed every key that its run changed. */
  async #expectComplete(): Promise<void> {
    const { rows } = await this.#pool.query<{ runId: string }>(
      'select distinct run_id as "runId" from dict.undos where outcome = $1',
      ['COMPLETED'],
    );
    for (const { runId } of rows) {
      for (const key of this.#changes.get(runId)?.keys() ?? []) {
        if (!this.#seen.has(`${runId} ${key}`)) throw new Error(`the undo forgot key ${key}`);
      }
    }
  }
}
