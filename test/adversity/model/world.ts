import type { Pool } from 'pg';
import type { Entry } from '../../../src/dict/entry/entry.ts';
import type { KeyType } from '../../../src/dict/entry/key-type.ts';
import { generateKeyBase, type SimulatedDict } from '../../../src/simulator/index.ts';
import { Random } from '../../../src/simulator/random.ts';
import { EPOCH, setClock } from './database.ts';
import { statementOf } from './statements.ts';
import { Witness } from './witness.ts';
import { ISPB } from '../../support/key-base.ts';

export { ISPB } from '../../support/key-base.ts';

const OTHER = '00000002';
export const KEY_TYPE: KeyType = 'PHONE';

export const MARGIN_SECONDS = 30;
/** How far one side of an operation may be behind the other: within the margin, as the bank promises by setting it. */
const LAG_MS = 25_000;
const LATE_MS = 5000;

interface Due {
  at: number;
  /** A transaction that keeps its rows locked until then. */
  keepsLocks: boolean;
  act: () => Promise<void>;
}

interface Driven {
  now: number;
}

/** The bank and DICT, a handful of keys, and what their owners do with them. */
export class World {
  readonly witness: Witness;
  readonly dict: SimulatedDict;
  readonly random: Random;
  readonly #pool: Pool;
  readonly #time: Driven;
  readonly #keys: Entry[];
  readonly #busy = new Set<string>();
  #due: Due[] = [];
  #touches = 0;

  constructor(pool: Pool, dict: SimulatedDict, time: Driven, seed: number) {
    this.#pool = pool;
    this.dict = dict;
    this.#time = time;
    this.random = new Random(seed, 'model');
    this.witness = new Witness(pool, dict, {
      participant: ISPB,
      keyType: KEY_TYPE,
      marginMs: MARGIN_SECONDS * 1000,
    });
    const keysPerType = 3 + this.random.below(12);
    this.#keys = [...generateKeyBase({ participant: ISPB, keyTypes: [KEY_TYPE], keysPerType, seed })];
  }

  get now(): number {
    return this.#time.now;
  }

  /** Makes both sides begin equal, or not. */
  async begin(): Promise<void> {
    const divergent = this.random.chance(0.7) ? 0.4 : 0;
    for (const entry of this.#keys) {
      if (this.random.chance(0.15)) {
        this.dict.directory.seed([{ ...entry, participant: OTHER, requestId: this.random.uuid() }]);
        continue;
      }
      const there = this.random.chance(0.85);
      const here = this.random.chance(divergent) ? !there : there;
      if (there) this.dict.directory.seed([entry]);
      if (here) await this.#put(this.random.chance(divergent) ? this.#changed(entry) : entry);
    }
    this.witness.dictChanged(this.now);
    await this.pass(120_000);
  }

  /**
   * Makes DICT refuse one of its CIDs, or its event log, until the faults are cleared: by order of a court, by a fraud
   * restriction, by an internal error, or as if it did not exist.
   */
  harden(): void {
    const cids = [...this.dict.directory.set(ISPB, KEY_TYPE).cids()];
    if (this.random.chance(0.3)) {
      this.witness.note(this.now, 'the log cannot be read');
      this.dict.faults.on({
        kind: 'problem',
        operation: 'listCidSetEvents',
        status: this.random.pick([500, 503, 403]),
        retryAfterSec: 1,
      });
      this.witness.logUnavailable();
      return;
    }
    if (cids.length === 0) return;
    const cid = this.random.pick(cids);
    const status = this.random.pick([400, 403, 404, 500] as const);
    this.witness.note(this.now, `${cid.slice(0, 8)} answers ${status} from now on`);
    this.dict.faults.on({ kind: 'problem', operation: 'getEntryByCid', cid, status });
  }

  /** Lets time pass; what becomes due happens at its time. */
  async pass(ms: number): Promise<void> {
    const until = this.now + ms;
    for (;;) {
      const next = this.#due.toSorted((a, b) => a.at - b.at)[0];
      if (next === undefined || next.at > until) break;
      await this.#setTime(Math.max(next.at, this.now));
      this.#due = this.#due.filter((due) => due !== next);
      await next.act();
    }
    await this.#setTime(until);
  }

  /** Ends the bank's open transactions: a repair would wait for their locks, and the model has one thread. */
  async letGo(): Promise<void> {
    const locking = this.#due.filter(({ keepsLocks }) => keepsLocks);
    this.#due = this.#due.filter(({ keepsLocks }) => !keepsLocks);
    for (const { act } of locking) await act();
  }

  /** Ends everything that was begun, and brings it to rest. */
  async comeToRest(): Promise<void> {
    await this.pass(LAG_MS + LATE_MS);
    while (this.#due.length > 0) await this.pass(LAG_MS);
    await this.pass((MARGIN_SECONDS + 10) * 1000);
  }

  /** An owner, or somebody by mistake, changes a key. `alone`: nothing else is in progress in the database. */
  async act(alone: boolean): Promise<void> {
    const entry = this.random.pick(this.#keys);
    if (this.#busy.has(entry.key) || this.#busy.has(`${entry.key} claimed`)) return;
    if (this.random.chance(0.1))
      this.dict.faults.on({ kind: 'late_events', delayMs: 1 + this.random.below(LATE_MS), times: 2 });
    const there = this.dict.directory.find(entry.key)?.entry;
    const here = this.witness.base.get(entry.key);
    if (there?.participant === OTHER) return this.#claimed(entry, there);
    const what = this.random.pick(
      there === undefined
        ? (['create', 'create', 'touch'] as const)
        : (['update', 'update', 'update', 'delete', 'touch', 'lose'] as const),
    );
    const fresh = this.#anew(entry);
    const patch = { name: this.#name(), accountNumber: String(1 + this.random.below(3)) };
    this.witness.note(this.now, `${what} ${entry.key}`);
    switch (what) {
      case 'create':
        return this.#bothSides(entry.key, alone, {
          atDict: () => void this.dict.directory.createEntry(fresh),
          here: fresh,
        });
      case 'update':
        return this.#bothSides(entry.key, alone, {
          atDict: () => {
            if (this.#ours(entry.key))
              this.dict.directory.updateEntry({ participant: ISPB, key: entry.key }, patch);
          },
          here: { ...(here ?? there ?? fresh), ...patch },
        });
      case 'delete':
        return this.#bothSides(entry.key, alone, {
          atDict: () => {
            if (this.#ours(entry.key)) this.dict.directory.deleteEntry({ participant: ISPB, key: entry.key });
          },
          here: undefined,
        });
      case 'lose':
        // The donor's half of a claim; the claimer takes the key a little later.
        return this.#bothSides(entry.key, alone, {
          atDict: () => {
            if (!this.#ours(entry.key)) return;
            this.dict.directory.confirmClaim({ donor: ISPB, claimer: OTHER, key: entry.key });
            this.#busy.add(`${entry.key} claimed`);
            this.#later(LAG_MS, () => {
              this.dict.directory.completeClaim({
                ...entry,
                participant: OTHER,
                requestId: this.random.uuid(),
              });
              this.#busy.delete(`${entry.key} claimed`);
            });
          },
          here: undefined,
        });
      case 'touch':
        // What is not part of the CID.
        if (here !== undefined) {
          await this.#sql('update dict.entries set opening_date = $2 where key = $1', [
            entry.key,
            new Date(this.now + this.#touches++),
          ]);
          this.witness.touched(entry.key);
        }
    }
  }

  #claimed(entry: Entry, there: Entry): void {
    const fresh = this.#anew(entry);
    this.witness.note(this.now, `claim ${entry.key}`);
    this.#busy.add(entry.key);
    this.dict.directory.confirmClaim({ donor: OTHER, claimer: ISPB, key: there.key });
    this.#later(LAG_MS, () => {
      this.#atDict(() => void this.dict.directory.completeClaim(fresh));
      this.#later(LAG_MS, async () => {
        await this.#put(fresh);
        this.#busy.delete(entry.key);
      });
    });
  }

  /** Changes a key as a PSP does, first at DICT or first in the base; sometimes one of the two never happens. */
  async #bothSides(
    key: string,
    alone: boolean,
    { atDict, here }: { atDict: () => void; here: Entry | undefined },
  ): Promise<void> {
    this.#busy.add(key);
    const ends = { left: 2 };
    const done = () => void (--ends.left === 0 && this.#busy.delete(key));
    const dictHalf = async () => {
      if (this.random.chance(0.88)) this.#atDict(atDict);
      done();
    };
    const localHalf = async () => {
      if (!this.random.chance(0.88)) return done();
      if (alone && this.random.chance(0.15)) return this.#slowly(key, here, done);
      await this.#put(here, key);
      done();
    };
    const [first, second] = this.random.chance(0.5) ? [dictHalf, localHalf] : [localHalf, dictHalf];
    await first();
    if (this.random.chance(0.3)) await second();
    else this.#later(LAG_MS, second);
  }

  #atDict(act: () => void): void {
    act();
    this.witness.dictChanged(this.now);
  }

  /** Changes a key in a transaction that commits a little later, or not at all. */
  async #slowly(key: string, entry: Entry | undefined, done: () => void): Promise<void> {
    const client = await this.#pool.connect();
    await client.query('begin');
    const [text, values] = statementOf(this.random, entry, key);
    await client.query(text, values);
    const commits = this.random.chance(0.8);
    const wrote = this.now;
    this.#later(
      LAG_MS / 2,
      async () => {
        await client.query(commits ? 'commit' : 'rollback');
        client.release();
        this.witness.note(this.now, `  ${commits ? 'committed' : 'rolled back'} ${key}`);
        if (commits) this.#wrote(wrote, key, entry, text);
        done();
      },
      true,
    );
  }

  async #put(entry: Entry | undefined, key = entry?.key ?? ''): Promise<void> {
    const [text, values] = statementOf(this.random, entry, key);
    await this.#sql(text, values);
    this.witness.note(this.now, `  here ${key} ${entry === undefined ? 'gone' : entry.name}`);
    this.#wrote(this.now, key, entry, text);
  }

  #wrote(at: number, key: string, entry: Entry | undefined, text: string): void {
    this.witness.wrote(at, key, entry);
    if (text.startsWith('delete')) this.witness.deleted(key);
  }

  #later(within: number, act: () => void | Promise<void>, keepsLocks = false): void {
    this.#due.push({ at: this.now + this.random.below(within), keepsLocks, act: async () => act() });
  }

  #ours(key: string): boolean {
    return this.dict.directory.find(key)?.entry.participant === ISPB;
  }

  /** Few names, so that contents come back (A → B → A). */
  #name(): string {
    return this.random.pick(['Ana Dias', 'Rui Dias', 'Eva Dias']);
  }

  /** A new registration, sometimes by another owner. */
  #anew(entry: Entry): Entry {
    const other = entry.ownerType === 'LEGAL_PERSON' ? '11444777000161' : '00000000191';
    const taxIdNumber = this.random.pick([entry.taxIdNumber, entry.taxIdNumber, other]);
    return { ...this.#changed(entry), taxIdNumber, requestId: this.random.uuid() };
  }

  #changed(entry: Entry): Entry {
    return { ...entry, name: this.#name() };
  }

  async #sql(text: string, values: unknown[]): Promise<void> {
    await this.#pool.query(text, values);
  }

  async #setTime(now: number): Promise<void> {
    this.#time.now = now;
    await setClock(this.#pool, now - EPOCH);
  }
}
