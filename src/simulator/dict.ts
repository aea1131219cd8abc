import type { Entry } from '../dict/entry/entry.ts';
import type { StoredEntry } from './cid-set.ts';
import type { CidSetFile } from './cid-set-file.ts';
import { CidSetFiles } from './cid-set-files.ts';
import { Directory } from './directory.ts';
import { Faults } from './faults.ts';
import type { Answer, CallFault } from './faults.ts';
import { Gate, iso } from './gate.ts';
import type { Caller } from './gate.ts';
import type { Ledger } from './ledger.ts';
import { Limits } from './limits.ts';
import { DictProblem, refused } from './problem.ts';
import { Random } from './random.ts';

export interface SimulatedDictOptions {
  /** ISPBs for which the caller may act. All others get 403. Default: those that the directory was seeded with. */
  participants?: readonly string[] | 'any';
  /** Default 1. Token buckets refill and files are made this many times faster. Timestamps stay true. */
  speed?: number;
  /** Default 'real': BACEN's token buckets. */
  limits?: 'real' | 'off';
  /** Milliseconds a file takes at speed 1. Default 10,000, as in BACEN's example. */
  fileGenerationMs?: number;
  /** Default 'lower'; BACEN allows both in files. */
  fileCase?: 'lower' | 'upper';
  /** Seed for the order of the files' lines and for the keys of new EVPs. Default 1. */
  seed?: number;
  /** Milliseconds since 1970. Default Date.now. */
  clock?: () => number;
}

type DownloadFault = Extract<CallFault, { afterBytes: number }>;

/** The rest of a file, and after how many of its bytes the download must fail. */
export interface Download {
  content: Buffer;
  failure: DownloadFault | undefined;
  correlationId: string;
}

const DEFAULT_EVENTS = 100;
const MOST_EVENTS = 200;
const HEX_64 = /^[0-9a-f]{64}$/i;

/**
 * DICT as its callers see it: BACEN's operations on a Directory, with token buckets, faults and a ledger of calls.
 * Requests and answers have the fields of proto/bridge.proto. Failures are DictProblem. It does not depend on a
 * protocol: src/simulator/grpc-server.ts serves it on the network.
 */
export class SimulatedDict {
  readonly faults = new Faults();
  readonly directory: Directory;
  readonly #files: CidSetFiles;
  readonly #limits: Limits;
  readonly #gate: Gate;

  constructor(options: SimulatedDictOptions = {}) {
    const { speed = 1, limits = 'real', fileGenerationMs = 10_000, seed = 1, clock = Date.now } = options;
    this.#files = new CidSetFiles(
      { generationMs: fileGenerationMs / speed, speed, upperCase: options.fileCase === 'upper' },
      new Random(seed, 'files'),
    );
    const { participants } = options;
    const random = new Random(seed, 'directory');
    this.directory = new Directory({ clock, faults: this.faults, files: this.#files, random });
    this.#limits = new Limits(speed);
    this.#gate = new Gate({
      faults: this.faults,
      limits: limits === 'real' ? this.#limits : undefined,
      mayActFor: (participant) =>
        participants === undefined
          ? this.directory.isSeeded(participant)
          : participants === 'any' || participants.includes(participant),
      now: () => this.directory.now(),
    });
  }

  /** Every call and its answer. */
  get ledger(): Ledger {
    return this.#gate.ledger;
  }

  createSyncVerification(
    request: { participant: string; keyType: string; vsync: string },
    caller: Caller,
  ): Promise<Answer> {
    const { participant, keyType, vsync } = request;
    return this.#gate.serve('createSyncVerification', { participant, keyType }, caller, () => {
      if (!HEX_64.test(vsync))
        throw new DictProblem(400, 'ParticipantSyncVerifier does not have 64 hex digits');
      const result = vsync.toLowerCase() === this.directory.set(participant, keyType).vsync() ? 'OK' : 'NOK';
      return { id: String(this.ledger.count('createSyncVerification') + 1), result, participant, keyType };
    });
  }

  createCidSetFile(request: { participant: string; keyType: string }, caller: Caller): Promise<Answer> {
    const { participant, keyType } = request;
    return this.#gate.serve('createCidSetFile', { participant, keyType }, caller, (now) => {
      const faults = this.faults.takeForFile({ operation: 'createCidSetFile', participant, keyType });
      const about = { participant, keyType, requestTime: now };
      const file = this.#files.request(about, this.directory.set(participant, keyType), faults);
      return { file: { ...fileAnswer(file, now), status: 'REQUESTED' } };
    });
  }

  getCidSetFile(request: { participant: string; id: string }, caller: Caller): Promise<Answer> {
    return this.#gate.serve('getCidSetFile', { participant: request.participant }, caller, (now) => ({
      file: fileAnswer(this.#file(request, now), now),
    }));
  }

  /**
   * The content behind the Url of getCidSetFile, from a byte offset. Not an operation of the API, so it takes no token.
   */
  async downloadCidSetFile(
    request: { participant: string; id: string; offset: number },
    caller: Caller,
  ): Promise<Download> {
    const about = { participant: request.participant };
    const answer = await this.#gate.serve('downloadCidSetFile', about, caller, (now, faults) => {
      const { content } = this.#file(request, now);
      if (request.offset < 0 || request.offset > content.length) {
        throw new DictProblem(400, 'The offset is outside the file');
      }
      const failure = faults.find(isDownloadFault);
      return { content: content.subarray(request.offset), failure } satisfies Partial<Download>;
    });
    return answer as Answer & Download;
  }

  listCidSetEvents(
    request: { participant: string; keyType: string; startTime?: string; endTime?: string; limit?: number },
    caller: Caller,
  ): Promise<Answer> {
    const { participant, keyType, limit = DEFAULT_EVENTS } = request;
    return this.#gate.serve('listCidSetEvents', { participant, keyType }, caller, (now) => {
      const start = time('StartTime', request.startTime) ?? 0;
      const end = time('EndTime', request.endTime) ?? now;
      if (!Number.isInteger(limit) || limit < 1 || limit > MOST_EVENTS) {
        throw new DictProblem(400, `Limit is not between 1 and ${MOST_EVENTS}`);
      }
      const { events, ...page } = this.directory.set(participant, keyType).list(start, end, limit, now);
      return {
        ...page,
        participant,
        keyType,
        startTime: iso(events[0]?.timestamp ?? start),
        endTime: iso(events.at(-1)?.timestamp ?? end),
        events: events.map(({ type, cid, timestamp }) => ({ type, cid, timestamp: iso(timestamp) })),
      };
    });
  }

  getEntryByCid(request: { participant: string; cid: string }, caller: Caller): Promise<Answer> {
    const { participant } = request;
    const cid = request.cid.toLowerCase();
    return this.#gate.serve('getEntryByCid', { participant, cid }, caller, () => {
      if (!HEX_64.test(cid)) throw new DictProblem(400, 'Cid does not have 64 hex digits');
      const stored = this.directory.findCid(participant, cid);
      if (stored === undefined) throw new DictProblem(404, 'There is no active entry with this CID');
      return { cid, ...entryAnswer(stored) };
    });
  }

  createEntry(request: { entry: Entry; reason: string }, caller: Caller): Promise<Answer> {
    const { entry, reason } = request;
    const { participant, keyType } = entry;
    return this.#gate.serve('createEntry', { participant, keyType }, caller, () => {
      if (reason !== 'USER_REQUESTED' && reason !== 'RECONCILIATION') {
        throw refused('InvalidReason', 'Reason is not USER_REQUESTED or RECONCILIATION');
      }
      if (keyType === 'EVP' && entry.key !== '')
        throw refused('EntryInvalid', 'DICT creates the key of an EVP itself');
      return entryAnswer(this.directory.createEntry(entry));
    });
  }

  listPolicies(request: { participant: string }, caller: Caller): Promise<Answer> {
    return this.#gate.serve('listPolicies', request, caller, (now) => ({
      policies: this.#limits.states(request.participant, now),
    }));
  }

  #file(request: { participant: string; id: string }, now: number): CidSetFile {
    const setOf = (file: CidSetFile) => this.directory.set(file.participant, file.keyType);
    const file = this.#files.get(request.id, setOf, now);
    if (file === undefined) throw new DictProblem(404, 'There is no such file');
    if (file.participant === request.participant) return file;
    throw new DictProblem(403, 'Participant is not allowed to access this resource');
  }
}

function isDownloadFault(fault: CallFault): fault is DownloadFault {
  return fault.kind === 'download_cut' || fault.kind === 'download_stall';
}

function fileAnswer(file: CidSetFile, now: number): Answer {
  const { id, participant, keyType, told } = file;
  const answer = { id, status: file.status(now), participant, keyType, requestTime: iso(file.requestTime) };
  if (told === undefined) return answer;
  const url = `https://dict.invalid/cids/${participant}/${id}.cids`;
  return { ...answer, creationTime: iso(file.toldCreationTime), url, ...told };
}

function entryAnswer({ entry, createdAt, ownedSince }: StoredEntry): Answer {
  return { entry, creationDate: iso(createdAt), keyOwnershipDate: iso(ownedSince) };
}

/** Milliseconds of an RFC 3339 time. Undefined if absent. */
function time(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw new DictProblem(400, `${name} is not a date-time`);
  return ms;
}
