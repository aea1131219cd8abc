import { computeCid } from '../dict/entry/cid.ts';
import { validateEntry } from '../dict/entry/entry-validation.ts';
import type { Entry } from '../dict/entry/entry.ts';
import { KEY_TYPES } from '../dict/entry/key-type.ts';
import { DvError } from '../errors/dv-error.ts';
import { CidSet } from './cid-set.ts';
import type { StoredEntry } from './cid-set.ts';
import type { CidSetFiles } from './cid-set-files.ts';
import type { Faults } from './faults.ts';
import { DictProblem, refused } from './problem.ts';
import type { Random } from './random.ts';

/** What updateEntry may change (DICT API 2.6.1, operation updateEntry). */
export type EntryChanges = Partial<
  Pick<Entry, 'branch' | 'accountNumber' | 'accountType' | 'openingDate' | 'name' | 'tradeName'>
>;

interface Claim {
  claimer: string;
  keyType: string;
  donorTaxIdNumber: string;
  ownedSince: number;
}

/**
 * The directory itself: entries, their CID sets and the events of each change, without limits, faults or a ledger.
 * Tests and the demo use it for changes that others make at DICT: BACEN, other participants, the participant's other
 * systems. Its methods throw DictProblem where DICT would answer with a problem.
 */
export class Directory {
  readonly #keys = new Map<string, StoredEntry>();
  readonly #sets = new Map<string, CidSet>();
  /** By participant: all RequestIds ever used, each with the entry as it first made it. */
  readonly #requestIds = new Map<string, Map<string, StoredEntry>>();
  readonly #seeded = new Set<string>();
  /** By key: claims that are confirmed but not completed. */
  readonly #claims = new Map<string, Claim>();
  readonly #clock: () => number;
  #lastTime = 0;
  readonly #faults: Faults;
  readonly #files: CidSetFiles;
  readonly #random: Random;

  constructor(parts: { clock: () => number; faults: Faults; files: CidSetFiles; random: Random }) {
    this.#clock = parts.clock;
    this.#faults = parts.faults;
    this.#files = parts.files;
    this.#random = parts.random;
  }

  /** Milliseconds since 1970. Never goes back. */
  now(): number {
    this.#lastTime = Math.max(this.#lastTime, this.#clock());
    return this.#lastTime;
  }

  /** The CID set of a participant and key type. It is empty if there is no key yet. */
  set(participant: string, keyType: string): CidSet {
    const name = `${participant}/${keyType}`;
    let set = this.#sets.get(name);
    if (set === undefined) {
      set = new CidSet();
      this.#sets.set(name, set);
    }
    return set;
  }

  /** The active entry of the key. */
  find(key: string): StoredEntry | undefined {
    return this.#keys.get(key);
  }

  /** The participant's active entry with this CID (lower case), of any key type. */
  findCid(participant: string, cid: string): StoredEntry | undefined {
    for (const keyType of KEY_TYPES) {
      const stored = this.set(participant, keyType).get(cid);
      if (stored !== undefined) return stored;
    }
    return undefined;
  }

  /**
   * Adds entries that existed before the log of events began, without checks (DICT may have entries that it would
   * refuse today). Returns how many. Throws DV_SIMULATOR_SEED if a key already exists or the set's log has begun.
   */
  seed(entries: Iterable<Entry>): number {
    const now = this.now();
    let count = 0;
    for (const entry of entries) {
      const set = this.set(entry.participant, entry.keyType);
      if (this.#keys.has(entry.key) || set.hasEvents) {
        throw new DvError(
          'DV_SIMULATOR_SEED',
          'The simulator can be seeded only before its first change, and with each key only once. Start a new simulator, or use another seed for each participant.',
        );
      }
      const stored = { entry, cid: computeCid(entry).toString('hex'), createdAt: now, ownedSince: now };
      set.seed(stored);
      this.#seeded.add(entry.participant);
      this.#keep(stored);
      count += 1;
    }
    return count;
  }

  /** Whether the directory was seeded with entries of this participant. */
  isSeeded(participant: string): boolean {
    return this.#seeded.has(participant);
  }

  /**
   * Idempotent by RequestId: a request is a repetition if its entry's CID is in DICT already. If the key of an EVP is '',
   * it is created here. Event ADDED.
   */
  createEntry(asked: Entry): StoredEntry {
    const made = asked.keyType === 'EVP' && asked.key === '';
    const before = this.#requestIdsOf(asked.participant).get(asked.requestId.toLowerCase());
    const entry = made ? { ...asked, key: before?.entry.key ?? this.#random.uuid() } : asked;
    validate(entry);
    const repeated = this.#repeated(entry);
    if (repeated !== undefined) return repeated;
    this.#expectFree(entry);
    const now = this.now();
    return this.#add(entry, now, now, now);
  }

  /** Keeps the RequestId. Events REMOVED and ADDED with the same time; no event if the CID does not change. */
  updateEntry(
    which: { participant: string; key: string },
    changes: EntryChanges,
    reason = 'USER_REQUESTED',
  ): StoredEntry {
    const before = this.#own(which);
    if (before.entry.keyType === 'EVP' && reason !== 'RFB_VALIDATION') {
      throw refused('InvalidReason', 'An EVP can be updated only with reason RFB_VALIDATION');
    }
    const entry = { ...before.entry, ...changes };
    validate(entry);
    const { createdAt, ownedSince } = before;
    const cid = computeCid(entry).toString('hex');
    if (cid === before.cid) {
      const stored = { entry, cid, createdAt, ownedSince };
      this.set(entry.participant, entry.keyType).replace(stored);
      this.#keep(stored);
      return stored;
    }
    const now = this.now();
    this.#remove(before, now);
    return this.#add(entry, now, createdAt, ownedSince);
  }

  /** Event REMOVED. */
  deleteEntry(which: { participant: string; key: string }): void {
    this.#remove(this.#own(which), this.now());
  }

  /** The donor gives up the key. Event REMOVED. Until completeClaim the key is in no set. */
  confirmClaim(claim: { donor: string; claimer: string; key: string }): void {
    const stored = this.#own({ participant: claim.donor, key: claim.key });
    const { keyType, taxIdNumber } = stored.entry;
    if (keyType === 'EVP') throw refused('ClaimInvalid', 'An EVP cannot be claimed');
    this.#remove(stored, this.now());
    this.#claims.set(claim.key, {
      claimer: claim.claimer,
      keyType,
      donorTaxIdNumber: taxIdNumber,
      ownedSince: stored.ownedSince,
    });
  }

  /** The claimer gets the key as `entry`, which has a new RequestId. Idempotent as createEntry. Event ADDED. */
  completeClaim(entry: Entry): StoredEntry {
    const repeated = this.#repeated(entry);
    if (repeated !== undefined) return repeated;
    const claim = this.#claims.get(entry.key);
    if (claim === undefined || claim.claimer !== entry.participant || claim.keyType !== entry.keyType) {
      throw refused('ClaimOperationInvalid', 'This participant has no confirmed claim for this key');
    }
    validate(entry);
    this.#claims.delete(entry.key);
    const now = this.now();
    const sameOwner = claim.donorTaxIdNumber === entry.taxIdNumber;
    return this.#add(entry, now, now, sameOwner ? claim.ownedSince : now);
  }

  #own(which: { participant: string; key: string }): StoredEntry {
    const stored = this.#keys.get(which.key);
    if (stored === undefined) throw new DictProblem(404, 'Entry associated with given key does not exist');
    if (stored.entry.participant === which.participant) return stored;
    throw new DictProblem(403, 'Participant is not allowed to access this resource');
  }

  #expectFree(entry: Entry): void {
    if (this.#claims.has(entry.key))
      throw refused('EntryLockedByClaim', 'There is an open claim for the key');
    const other = this.#keys.get(entry.key)?.entry;
    if (other === undefined) return;
    if (other.taxIdNumber !== entry.taxIdNumber) {
      throw refused('EntryKeyOwnedByDifferentPerson', 'The key is owned by somebody else');
    }
    throw other.participant === entry.participant
      ? refused('EntryAlreadyExists', 'An entry with this key already exists')
      : refused('EntryKeyInCustodyOfDifferentParticipant', 'Another participant has the key');
  }

  /**
   * The active entry that the request asks for again. RequestIdAlreadyUsed if the RequestId was used with other
   * parameters (DICT API 2.6.1, createEntry, "Idempotência"); with the same ones it may make an entry again that was
   * removed meanwhile.
   */
  #repeated(entry: Entry): StoredEntry | undefined {
    const cid = computeCid(entry).toString('hex');
    const active = this.set(entry.participant, entry.keyType).get(cid);
    if (active !== undefined) return active;
    const used = this.#requestIdsOf(entry.participant).get(entry.requestId.toLowerCase());
    if (used !== undefined && used.cid !== cid) {
      throw refused('RequestIdAlreadyUsed', 'RequestId was used for another entry');
    }
    return undefined;
  }

  #requestIdsOf(participant: string): Map<string, StoredEntry> {
    let ids = this.#requestIds.get(participant);
    if (ids === undefined) {
      ids = new Map();
      this.#requestIds.set(participant, ids);
    }
    return ids;
  }

  #keep(stored: StoredEntry): void {
    this.#keys.set(stored.entry.key, stored);
    const ids = this.#requestIdsOf(stored.entry.participant);
    const id = stored.entry.requestId.toLowerCase();
    if (!ids.has(id)) ids.set(id, stored);
  }

  #remove({ entry, cid }: StoredEntry, now: number): void {
    const { participant, keyType } = entry;
    const set = this.set(participant, keyType);
    this.#files.settle(set, now);
    set.remove(cid, now, this.#faults.takeForEvent({ participant, keyType }));
    this.#keys.delete(entry.key);
  }

  #add(entry: Entry, now: number, createdAt: number, ownedSince: number): StoredEntry {
    const { participant, keyType } = entry;
    const set = this.set(participant, keyType);
    this.#files.settle(set, now);
    const stored = { entry, cid: computeCid(entry).toString('hex'), createdAt, ownedSince };
    set.add(stored, now, this.#faults.takeForEvent({ participant, keyType }));
    this.#keep(stored);
    return stored;
  }
}

function validate(entry: Entry): void {
  try {
    validateEntry(entry);
  } catch (error) {
    throw refused('EntryInvalid', (error as Error).message);
  }
}
