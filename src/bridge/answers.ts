import { z } from 'zod';
import type { Entry } from '../dict/entry/entry.ts';
import { isIspb } from '../dict/entry/ispb.ts';
import { KEY_TYPES } from '../dict/entry/key-type.ts';
import { isUuid } from '../dict/entry/uuid.ts';
import { FILE_STATUSES } from './bridge.ts';
import type {
  CidSetEvents,
  CidSetFile,
  EntryByCid,
  Policy,
  RegisteredEntry,
  SyncVerification,
} from './bridge.ts';
import type { BridgeMethod } from './contract.ts';
import { nonsense } from './errors.ts';

// The formats are those at the head of proto/bridge.proto, which names BACEN's schemas.
const HEX_64 = /^[0-9a-f]{64}$/i;
const hex64 = z
  .string()
  .regex(HEX_64)
  .transform((hex) => hex.toLowerCase());
const time = z.iso.datetime({ offset: true });
const filled = z.string().min(1);
const keyType = z.enum(KEY_TYPES);
const count = z.number().int().nonnegative().safe();

const answered = { correlationId: z.string(), responseTime: time };

const entry = z
  .object({
    participant: z.string().refine(isIspb),
    keyType,
    key: filled,
    requestId: z.string().refine(isUuid),
    ownerType: z.enum(['NATURAL_PERSON', 'LEGAL_PERSON']),
    taxIdNumber: filled,
    name: filled,
    tradeName: z.string().optional(),
    branch: z.string().optional(),
    accountNumber: filled,
    accountType: filled,
    openingDate: time.optional(),
  })
  .transform((flat): Entry => ({
    ...flat,
    tradeName: flat.tradeName ?? null,
    branch: flat.branch ?? null,
    openingDate: flat.openingDate ?? null,
  }));

const syncVerification = z.object({
  ...answered,
  id: filled,
  result: z.enum(['OK', 'NOK']),
  participant: z.string(),
  keyType: z.string(),
});

const file = { id: filled, participant: z.string(), keyType, requestTime: time };
const cidSetFile = z.object({
  ...answered,
  file: z.discriminatedUnion('status', [
    z.object({ ...file, status: z.enum(FILE_STATUSES).exclude(['AVAILABLE']) }),
    z.object({
      ...file,
      status: z.literal('AVAILABLE'),
      creationTime: time,
      url: z.string().optional(),
      bytes: count,
      sha256: hex64,
    }),
  ]),
});

const cidSetEvents = z.object({
  ...answered,
  hasMoreElements: z.boolean(),
  participant: z.string(),
  keyType,
  startTime: time.optional(),
  endTime: time.optional(),
  syncVerifierStart: hex64.optional(),
  syncVerifierEnd: hex64.optional(),
  events: z.array(z.object({ type: z.enum(['ADDED', 'REMOVED']), cid: hex64, timestamp: time })),
});

const registered = { ...answered, entry, creationDate: time, keyOwnershipDate: time };
const registeredEntry = z.object(registered);
const entryByCid = z.object({ ...registered, cid: hex64 });

const policies = z.object({
  policies: z.array(
    z.object({
      name: filled,
      availableTokens: count,
      capacity: count,
      refillTokens: count,
      refillPeriodSec: count,
    }),
  ),
});

/** The answer by its schema, or DV_BRIDGE_NONSENSE naming the fields that are wrong. */
function parse<T>(method: BridgeMethod, schema: z.ZodType<T>, answer: object): T {
  const parsed = schema.safeParse(answer);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')} ${issue.code}`);
  throw nonsense(method, problems, (answer as { correlationId?: unknown }).correlationId);
}

/** Throws DV_BRIDGE_NONSENSE unless the answer is about what was asked; compares each field of `asked`. */
function expectSame<T extends object>(
  method: BridgeMethod,
  asked: Partial<T>,
  got: T,
  correlationId: string,
): void {
  const wrong = (Object.keys(asked) as (keyof T & string)[]).filter((field) => got[field] !== asked[field]);
  if (wrong.length > 0) {
    throw nonsense(
      method,
      wrong.map((field) => `${field} is not the one asked about`),
      correlationId,
    );
  }
}

export function readSyncVerification(
  answer: object,
  asked: { participant: string; keyType: string },
): SyncVerification {
  const method = 'CreateSyncVerification';
  const { participant, keyType: type, ...verification } = parse(method, syncVerification, answer);
  expectSame(method, asked, { participant, keyType: type }, verification.correlationId);
  return verification;
}

export function readCidSetFile(
  method: 'CreateCidSetFile' | 'GetCidSetFile',
  answer: object,
  asked: Partial<Pick<CidSetFile, 'id' | 'participant' | 'keyType'>>,
): CidSetFile {
  const { file: got, ...rest } = parse(method, cidSetFile, answer);
  expectSame(method, asked, got, rest.correlationId);
  return { ...got, ...rest };
}

/** Checks participant, key type, order, and that a page with events names its VSyncs; does not check the XOR chain. */
export function readCidSetEvents(
  answer: object,
  asked: Pick<CidSetEvents, 'participant' | 'keyType'>,
): CidSetEvents {
  const method = 'ListCidSetEvents';
  const page = parse(method, cidSetEvents, answer);
  expectSame(method, asked, page, page.correlationId);
  const problems: string[] = [];
  if (page.events.length > 0) {
    for (const field of ['startTime', 'endTime', 'syncVerifierStart', 'syncVerifierEnd'] as const) {
      if (page[field] === undefined) problems.push(`${field} is missing`);
    }
  } else if (page.hasMoreElements) problems.push('more events announced after an empty page');
  const times = page.events.map((event) => Date.parse(event.timestamp));
  if (times.some((time, i) => i > 0 && time < times[i - 1]!))
    problems.push('events do not ascend by timestamp');
  if (problems.length > 0) throw nonsense(method, problems, page.correlationId);
  return page;
}

/** Checks only that this is the CID asked for. The caller checks that the entry's content gives this CID. */
export function readEntryByCid(answer: object, asked: { participant: string; cid: string }): EntryByCid {
  const method = 'GetEntryByCid';
  const found = parse(method, entryByCid, answer);
  expectSame(method, { cid: asked.cid.toLowerCase() }, found, found.correlationId);
  expectSame(method, { participant: asked.participant }, found.entry, found.correlationId);
  return found;
}

/** DICT generates the key of an EVP, so the key is compared for the other types only. */
export function readRegisteredEntry(answer: object, asked: Entry): RegisteredEntry {
  const method = 'CreateEntry';
  const made = parse(method, registeredEntry, answer);
  const { participant, keyType: type, key, requestId } = asked;
  const same = { participant, keyType: type, requestId, ...(type !== 'EVP' && { key }) };
  expectSame(method, same, made.entry, made.correlationId);
  return made;
}

export function readPolicies(answer: object): Policy[] {
  return parse('ListPolicies', policies, answer).policies;
}
