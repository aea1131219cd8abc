import type { Entry } from '../dict/entry/entry.ts';
import { VSync } from '../dict/vsync/vsync.ts';

/** An entry as DICT stores it. A flat object, because there may be millions. */
export interface StoredEntry {
  readonly entry: Entry;
  /** 64 lower-case hex digits. */
  readonly cid: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly ownedSince: number;
}

export interface SetEvent {
  type: 'ADDED' | 'REMOVED';
  cid: string;
  /** Milliseconds since 1970. */
  timestamp: number;
  /** The time from which listCidSetEvents shows it. */
  visibleAt: number;
  /** The set's VSync after it. */
  vsync: string;
  /** Its index in the log. */
  index: number;
}

export interface EventPage {
  hasMoreElements: boolean;
  events: SetEvent[];
  /** VSync of the visible log, after the first and after the last event of the page. */
  syncVerifierStart: string;
  syncVerifierEnd: string;
}

/** The CIDs of one participant and key type, their VSync, and the log of CIDs added and removed. */
export class CidSet {
  readonly #entries = new Map<string, StoredEntry>();
  readonly #vsync = VSync.empty();
  /** Ascending by timestamp, because the directory's clock never goes back. */
  readonly #events: SetEvent[] = [];
  /** VSync before the first event. */
  #vsyncBefore = VSync.empty().toHex();
  /** Events that were not visible yet at the last request. */
  #hidden: SetEvent[] = [];

  get size(): number {
    return this.#entries.size;
  }

  get hasEvents(): boolean {
    return this.#events.length > 0;
  }

  vsync(): string {
    return this.#vsync.toHex();
  }

  cids(): Iterable<string> {
    return this.#entries.keys();
  }

  entries(): Iterable<StoredEntry> {
    return this.#entries.values();
  }

  get(cid: string): StoredEntry | undefined {
    return this.#entries.get(cid);
  }

  /** Adds an entry that existed before the log began, without an event. */
  seed(stored: StoredEntry): void {
    this.#entries.set(stored.cid, stored);
    this.#vsync.xor(Buffer.from(stored.cid, 'hex'));
  }

  add(stored: StoredEntry, timestamp: number, delayMs: number): void {
    this.#log('ADDED', stored.cid, timestamp, delayMs);
    this.#entries.set(stored.cid, stored);
  }

  /** Replaces content that is not part of the CID (the opening date), without an event. */
  replace(stored: StoredEntry): void {
    this.#entries.set(stored.cid, stored);
  }

  remove(cid: string, timestamp: number, delayMs: number): void {
    this.#log('REMOVED', cid, timestamp, delayMs);
    this.#entries.delete(cid);
  }

  #log(type: SetEvent['type'], cid: string, timestamp: number, delayMs: number): void {
    if (!this.hasEvents) this.#vsyncBefore = this.vsync();
    const vsync = this.#vsync.xor(Buffer.from(cid, 'hex')).toHex();
    const index = this.#events.length;
    const event = { type, cid, timestamp, visibleAt: timestamp + delayMs, vsync, index };
    this.#events.push(event);
    if (delayMs > 0) this.#hidden.push(event);
  }

  /**
   * The events that are visible at `now`, from `start` to `end` (both inclusive, ms), at most `limit`. The verifiers
   * leave out events that are not visible yet, so that End is always Start XOR the page's second and later CIDs.
   */
  list(start: number, end: number, limit: number, now: number): EventPage {
    this.#hidden = this.#hidden.filter((event) => event.visibleAt > now);
    const events: SetEvent[] = [];
    let hasMoreElements = false;
    let at = this.#firstFrom(start);
    for (; at < this.#events.length; at++) {
      const event = this.#events[at]!;
      if (event.timestamp > end) break;
      if (event.visibleAt > now) continue;
      hasMoreElements = events.length === limit;
      if (hasMoreElements) break;
      events.push(event);
    }
    const [first, last] = [events[0], events.at(-1)];
    const before = this.#events[at - 1];
    return {
      hasMoreElements,
      events,
      syncVerifierStart: this.#verifier(first ?? before),
      syncVerifierEnd: this.#verifier(last ?? before),
    };
  }

  /** Index of the first event at or after the time. */
  #firstFrom(time: number): number {
    let low = 0;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#events[middle]!.timestamp < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #verifier(after: SetEvent | undefined): string {
    if (after === undefined) return this.hasEvents ? this.#vsyncBefore : this.vsync();
    const vsync = VSync.parse(after.vsync);
    for (const event of this.#hidden) {
      if (event.index <= after.index) vsync.xor(Buffer.from(event.cid, 'hex'));
    }
    return vsync.toHex();
  }
}
