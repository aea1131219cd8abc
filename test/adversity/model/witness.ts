import type { Pool } from 'pg';
import { computeCid } from '../../../src/dict/entry/cid.ts';
import type { Entry } from '../../../src/dict/entry/entry.ts';
import type { KeyType } from '../../../src/dict/entry/key-type.ts';
import { VSync } from '../../../src/dict/vsync/vsync.ts';
import type { SimulatedDict } from '../../../src/simulator/index.ts';
import { EPOCH } from './database.ts';
import { describe, hex } from './describe.ts';
import { UndoWitness } from './undo-witness.ts';

/** A moment of the model: milliseconds since 1970, and the order of what happens within one millisecond. */
export interface Moment {
  at: number;
  order: number;
}

interface Decided {
  runId: string;
  round: number;
  cid: string;
  side: string;
  decision: string;
  key: string | null;
  before: (Entry & { cid: string }) | null;
  after: (Entry & { cid: string }) | null;
  /** Whether a person approved the round. */
  approved: boolean;
  /** Whether DICT once refused to register it, and whether a person decided then that it is removed. */
  refused: boolean;
  decidedAnew: boolean;
}

/** When a CID was in DICT; `until` undefined: it still is. */
interface Stay {
  from: number;
  until: number | undefined;
}

/** How long an answer of DICT may be applied, in milliseconds. */
const FRESH_MS = 60_000;

/**
 * Watches a model run and says what is wrong. It keeps its own idea of the local base, from what the bank wrote and
 * what the divergences say was repaired, and of what may be repaired. It knows nothing but the words of DOMAIN.md.
 */
export class Witness {
  /** The local base as it must be, by key. */
  readonly base = new Map<string, Entry>();
  readonly undo: UndoWitness;
  /** The bank's last write of each key. */
  readonly #written = new Map<string, Moment>();
  readonly #rounds = new Map<string, Moment & { judgedFrom?: number }>();
  readonly #seen = new Set<string>();
  readonly #stays = new Map<string, Stay[]>();
  readonly #contents = new Map<string, Entry>();
  readonly #pool: Pool;
  readonly #dict: SimulatedDict;
  readonly #scope: { participant: string; keyType: KeyType; marginMs: number };
  #order = 0;
  #logUnavailable = false;
  /** What happened, for whoever investigates a failure. */
  readonly story: string[] = [];

  constructor(
    pool: Pool,
    dict: SimulatedDict,
    scope: { participant: string; keyType: KeyType; marginMs: number },
  ) {
    this.#pool = pool;
    this.#dict = dict;
    this.#scope = scope;
    this.undo = new UndoWitness(pool);
  }

  note(at: number, what: string): void {
    this.story.push(`${((at - EPOCH) / 1000).toFixed(1).padStart(8)} s  ${what}`);
  }

  /**
   * The bank's own system has written a key (undefined: deleted it). What changed nothing does not count as a write.
   */
  wrote(at: number, key: string, entry: Entry | undefined): void {
    if (describe(entry) === describe(this.base.get(key))) return;
    this.#changed(at, key, entry);
    this.undo.bankChanged(key);
  }

  /**
   * It has deleted the row of a key, even if that was softly removed before: there is no row to put the key back in.
   */
  deleted(key: string): void {
    this.undo.bankChanged(key);
  }

  #changed(at: number, key: string, entry: Entry | undefined): void {
    this.#written.set(key, { at, order: ++this.#order });
    if (entry === undefined) this.base.delete(key);
    else this.base.set(key, entry);
  }

  /** DICT's event log cannot be read from now on. */
  logUnavailable(): void {
    this.#logUnavailable = true;
  }

  logReadable(): void {
    this.#logUnavailable = false;
  }

  /** It has written something that is not part of a CID: the margin before a snapshot counts from when the CID came. */
  touched(key: string): void {
    this.#written.set(key, { at: this.#written.get(key)?.at ?? 0, order: ++this.#order });
    this.undo.bankChanged(key);
  }

  /** DICT has changed. */
  dictChanged(at: number): void {
    const there = new Map([...this.#set.entries()].map(({ cid, entry }) => [cid, entry]));
    for (const [cid, entry] of there) {
      this.#contents.set(cid, entry);
      const stays = this.#stays.get(cid) ?? [];
      if (stays.at(-1)?.until !== undefined || stays.length === 0) stays.push({ from: at, until: undefined });
      this.#stays.set(cid, stays);
    }
    for (const [cid, stays] of this.#stays) {
      const last = stays.at(-1);
      if (last !== undefined && last.until === undefined && !there.has(cid)) last.until = at;
    }
  }

  /** A step of a run has ended (or its worker crashed in it); it began at `began`. */
  async afterStep(state: string, began: number, now: number): Promise<void> {
    if (state === 'snapshot' || state === 'judge') await this.#noteRounds(state, began, now);
    if (state === 'undo' || state === 'publish') return this.#afterUndo(now);
    if (state !== 'apply' && state !== 'judge') return;
    // What was registered at DICT.
    this.dictChanged(now);
    const { rows } = await this.#pool.query<Decided>(
      `select d.run_id as "runId", d.round, encode(d.cid, 'hex') as cid, d.side, d.decision, d.key, d.before, d.after,
         r.approved_at is not null as approved, d.plan is not distinct from 'REMOVE' as "decidedAnew",
         exists (select from dict.divergences o where o.cid = d.cid and o.decision = 'REFUSED' and o.run_id <> d.run_id) as refused
       from dict.divergences d join dict.rounds r using (run_id, round) where d.decision <> 'PENDING' order by d.side, d.cid`,
    );
    const fresh = rows.filter(({ runId, round, cid }) => !this.#seen.has(`${runId} ${round} ${cid}`));
    for (const decided of fresh) {
      this.#seen.add(`${decided.runId} ${decided.round} ${decided.cid}`);
      this.note(
        now,
        `    ${decided.side} ${decided.cid.slice(0, 8)} ${decided.decision} ${decided.key ?? ''}`,
      );
      this.#judge(decided, began, now);
    }
    for (const { runId, decision, key, before, after } of fresh) {
      if (key === null) continue;
      if (decision === 'ADDED' || decision === 'CORRECTED' || decision === 'REMOVED')
        this.undo.repaired(runId, key, decision, before ?? undefined);
      if (decision === 'REMOVED') this.base.delete(key);
      else if ((decision === 'ADDED' || decision === 'CORRECTED') && after !== null) {
        const { cid: _, ...entry } = after;
        this.base.set(key, entry);
      } else if (decision === 'REGISTERED' && after !== null && after.cid !== before?.cid) {
        const { cid: _, ...entry } = after;
        this.base.set(key, entry);
        // An undo leaves it alone: the new RequestId is newer than whatever the run did to the key before.
        this.undo.bankChanged(key);
      }
    }
    await this.expectBase();
  }

  async #afterUndo(now: number): Promise<void> {
    for (const { key, entry } of await this.undo.afterStep(this.base)) {
      this.note(now, `    put back ${key} ${describe(entry)}`);
      this.#changed(now, key, entry);
    }
    await this.expectBase();
  }

  /** The local base is exactly what the bank wrote and the divergences say, and its VSync is the XOR of its CIDs. */
  async expectBase(): Promise<void> {
    const { rows } = await this.#pool.query<{ content: Entry & { cid: string } }>(
      `select dict.entry_json(e) as content from dict.entries e
       where participant = $1 and key_type = $2 and removed_at is null`,
      [this.#scope.participant, this.#scope.keyType],
    );
    const here = new Map(rows.map(({ content }) => [content.key, content]));
    for (const key of new Set([...here.keys(), ...this.base.keys()])) {
      const expected = this.base.get(key);
      const actual = here.get(key);
      if (describe(expected) !== describe(actual)) {
        throw new Error(
          `key ${key}: the base has ${describe(actual)}, but by the bank and the divergences it is ${describe(expected)}`,
        );
      }
    }
    const naive = VSync.empty();
    for (const entry of this.base.values()) naive.xor(computeCid(entry));
    const kept = await this.#pool.query<{ vsync: string; entries: string }>(
      'select vsync, entries from dict.vsync($1, $2)',
      [this.#scope.participant, this.#scope.keyType],
    );
    const [row] = kept.rows;
    if (row?.vsync !== naive.toHex() || Number(row.entries) !== this.base.size) {
      throw new Error('the VSync is not the XOR of the entries');
    }
  }

  /** The keys that the two sides do not both have with the same CID. */
  differing(): string[] {
    const here = new Map([...this.base].map(([key, entry]) => [key, hex(entry)]));
    const there = new Map([...this.#set.entries()].map(({ cid, entry }) => [entry.key, cid]));
    const keys = new Set([...here.keys(), ...there.keys()]);
    return [...keys].filter((key) => here.get(key) !== there.get(key));
  }

  async #noteRounds(state: string, began: number, now: number): Promise<void> {
    const { rows } = await this.#pool.query<{
      id: string;
      foundBy: string | null;
      reason: string | null;
      withoutLog: boolean;
    }>(
      `select run_id || ' ' || round as id, found_by as "foundBy", found_by_reason as reason, exists (
         select from workflow.history h where h.run_id = r.run_id and h.state = 'judge'
           and (h.detail ->> 'round')::integer = r.round and h.detail ->> 'eventLog' <> 'read') as "withoutLog"
       from dict.rounds r order by run_id, round`,
    );
    for (const { id, foundBy, reason, withoutLog } of rows) {
      const known = this.#rounds.get(id);
      if (known === undefined) this.#rounds.set(id, { at: now, order: ++this.#order });
      // When DICT's log cannot be read, also if it fails at three attempts, only the local changes are judged.
      else if (state === 'judge') known.judgedFrom = withoutLog ? 0 : (known.judgedFrom ?? began);
      if (state === 'judge' && foundBy !== null) this.note(now, `    by ${foundBy}: ${reason}`);
    }
  }

  #judge(decided: Decided, began: number, now: number): void {
    const { decision, cid, side, key, before, after } = decided;
    const wrong = (why: string) => {
      throw new Error(`${side} ${cid.slice(0, 8)} of key ${key} was ${decision}, but ${why}`);
    };
    const objection = this.undo.objection(decision, key);
    if (objection !== undefined) wrong(objection);
    // Registered with a new RequestId, so with another CID, unless the key changed locally meanwhile.
    if (
      decision === 'REGISTERED' &&
      after !== null &&
      after.cid !== before?.cid &&
      !this.#stays.has(after.cid)
    )
      wrong('DICT never had it');
    if (decision !== 'ADDED' && decision !== 'CORRECTED' && decision !== 'REMOVED') return;
    const round = this.#rounds.get(`${decided.runId} ${decided.round}`);
    if (round === undefined || key === null) return wrong('its round or key is not known');
    const present = this.base.get(key);
    if (describe(before) !== describe(present))
      wrong(`before is ${describe(before)}, not ${describe(present)}`);
    if ((decision === 'REMOVED') !== (after === null)) wrong('after does not show what was done');

    const written = this.#written.get(key);
    if (
      written !== undefined &&
      (written.order > round.order || written.at > round.at - this.#scope.marginMs)
    ) {
      wrong('the bank changed the key after the snapshot');
    }
    const log = this.#set.list(0, Infinity, Infinity, now).events;
    const named = log.some(
      (event) =>
        event.cid === cid &&
        event.timestamp >= round.at - this.#scope.marginMs &&
        event.visibleAt < (round.judgedFrom ?? 0),
    );
    if (named) wrong("DICT's log named it after the snapshot");
    if (decision === 'CORRECTED' && before?.taxIdNumber !== after?.taxIdNumber && !decided.approved) {
      wrong('nobody approved the change of its owner');
    }
    if (decision === 'REMOVED' && decided.refused && !decided.decidedAnew) {
      wrong('DICT refused to register it, and nobody has decided about it since');
    }
    if (decision === 'REMOVED') {
      const holder = this.#dict.directory.find(key);
      const there = holder?.entry.participant === this.#scope.participant ? holder.cid : undefined;
      const came = log.findLast((event) => event.type === 'ADDED' && event.cid === there);
      const seeded = this.#stays.get(there ?? '')?.[0]?.from === EPOCH;
      // While the log cannot be read, nothing shows what DICT received after its file was made.
      const unseen =
        this.#logUnavailable && came !== undefined && came.timestamp > round.at - this.#scope.marginMs;
      if (there !== undefined && !unseen && (came === undefined ? seeded : came.visibleAt < began)) {
        wrong('DICT has the key, as its log has long shown');
      }
    } else if (side === 'DICT_ONLY') {
      if (describe(after) !== describe(this.#contents.get(cid))) wrong('after is not what DICT had');
      const lately = this.#stays
        .get(cid)
        ?.some(({ until }) => until === undefined || until >= began - FRESH_MS);
      if (lately !== true) wrong('DICT no longer had it');
    }
  }

  get #set() {
    return this.#dict.directory.set(this.#scope.participant, this.#scope.keyType);
  }
}
