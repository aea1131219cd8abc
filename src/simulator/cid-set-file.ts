import { createHash } from 'node:crypto';
import type { CidSet } from './cid-set.ts';
import type { FileFault } from './faults.ts';
import { DictProblem } from './problem.ts';
import type { Random } from './random.ts';

export interface FileOptions {
  /** Milliseconds from the request to AVAILABLE, with the speed already applied. */
  generationMs: number;
  speed: number;
  upperCase: boolean;
}

const LINE_BYTES = 65;
/** Share of the total time during which the file is in REQUESTED. */
const QUEUED_SHARE = 0.2;

/** One CID file. Its status follows the clock: requested, processing, available (DICT API 2.6.1, schema CidSetFile). */
export class CidSetFile {
  readonly id: string;
  readonly participant: string;
  readonly keyType: string;
  /** Milliseconds since 1970. */
  readonly requestTime: number;
  readonly #faults: Map<FileFault['kind'], FileFault>;
  readonly #options: FileOptions;
  readonly #set: CidSet;
  readonly #random: Random;
  #made: { bytes: number; sha256: string } | undefined;
  #content: Buffer | undefined;

  constructor(
    about: { id: string; participant: string; keyType: string; requestTime: number },
    set: CidSet,
    faults: readonly FileFault[],
    options: FileOptions,
    random: Random,
  ) {
    this.id = about.id;
    this.participant = about.participant;
    this.keyType = about.keyType;
    this.requestTime = about.requestTime;
    this.#set = set;
    this.#faults = new Map(faults.map((fault) => [fault.kind, fault]));
    this.#options = options;
    this.#random = random;
  }

  /** The time at which it is finished, which is the time of its snapshot. */
  get creationTime(): number {
    const extra = (this.#fault('file_slow')?.delayMs ?? 0) / this.#options.speed;
    return Math.ceil(this.requestTime + this.#options.generationMs + extra);
  }

  /** CreationTime as DICT returns it. */
  get toldCreationTime(): number {
    const age = this.#fault('file_made_before')?.ageMs;
    return age === undefined ? this.creationTime : this.requestTime - age;
  }

  status(now: number): string {
    if (this.#faults.has('file_stuck')) return 'REQUESTED';
    if (now >= this.creationTime) {
      if (this.#faults.has('file_error')) return 'ERROR';
      return this.#faults.has('file_unavailable') ? 'UNAVAILABLE' : 'AVAILABLE';
    }
    const named = this.#fault('file_status')?.status;
    if (named !== undefined) return named;
    const queued = (this.creationTime - this.requestTime) * QUEUED_SHARE;
    return now < this.requestTime + queued ? 'REQUESTED' : 'PROCESSING';
  }

  /** Takes the snapshot if it is due. Must be called before the set changes. Returns whether there is a snapshot. */
  settle(now: number): boolean {
    if (this.#made !== undefined) return true;
    if (this.status(now) !== 'AVAILABLE') return false;
    const whole = this.#faults.has('file_empty') ? Buffer.alloc(0) : this.#write();
    const truncated = this.#faults.has('file_truncated');
    this.#content = truncated ? whole.subarray(0, Math.max(0, whole.length - LINE_BYTES - 10)) : whole;
    const sha256 = createHash('sha256').update(whole).digest('hex');
    this.#made = {
      bytes:
        this.#fault('file_announces')?.bytes ?? whole.length + (this.#faults.has('file_wrong_bytes') ? 1 : 0),
      sha256: this.#faults.has('file_wrong_sha256')
        ? createHash('sha256').update(sha256).digest('hex')
        : sha256,
    };
    return true;
  }

  /** Bytes and Sha256 as DICT returns them. Undefined until AVAILABLE. */
  get told(): { bytes: number; sha256: string } | undefined {
    return this.#made;
  }

  /** The content behind the Url. 404 before the file is AVAILABLE, 410 after it was discarded. */
  get content(): Buffer {
    if (this.#made === undefined || this.#faults.has('file_gone') || this.#faults.has('file_empty')) {
      throw new DictProblem(404, 'The file is not available');
    }
    if (this.#content === undefined) throw new DictProblem(410, 'The file is no longer available');
    return this.#content;
  }

  forget(): void {
    this.#content = undefined;
  }

  #fault<K extends FileFault['kind']>(kind: K): Extract<FileFault, { kind: K }> | undefined {
    return this.#faults.get(kind) as Extract<FileFault, { kind: K }> | undefined;
  }

  #write(): Buffer {
    const lines = this.#random.shuffle([...this.#set.cids()]);
    if (this.#faults.has('file_of_others')) {
      lines.push(...lines.map((cid) => createHash('sha256').update(cid).digest('hex')));
    }
    if (this.#faults.has('file_duplicate_line') && lines.length > 0) lines.push(lines[0]!);
    if (this.#faults.has('file_junk_line')) lines.splice(lines.length >>> 1, 0, 'this is no CID');
    const newline = this.#faults.has('file_crlf') ? '\r\n' : '\n';
    const upper = this.#options.upperCase || this.#faults.has('file_upper_case');
    const content = Buffer.allocUnsafe(
      lines.reduce((bytes, line) => bytes + line.length + newline.length, 0),
    );
    let at = 0;
    for (const line of lines)
      at += content.write((upper ? line.toUpperCase() : line) + newline, at, 'latin1');
    return this.#faults.has('file_no_last_newline') ? content.subarray(0, at - newline.length) : content;
  }
}
