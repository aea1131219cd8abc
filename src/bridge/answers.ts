import { z } from 'zod';
import type { Entry } from '../dict/entry/entry.ts';
import { ENTRY_LIMITS, textProblem } from '../dict/entry/entry-limits.ts';
import { isDateTime } from '../dict/entry/entry-validation.ts';
import { isIspb } from '../dict/entry/ispb.ts';
import { KEY_TYPES } from '../dict/entry/key-type.ts';
import { isUuid } from '../dict/entry/uuid.ts';
import { BACEN_POLICIES } from '../dict/rate-limits/bacen-policies.ts';
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

// The formats are those at the head of proto/bridge.proto, which names BACEN's schemas. Enumerations are text: BACEN adds
// values as compatible changes (section "Evolução da API"). Only what must be understood is compared with known values.
const HEX_64 = /^[0-9a-f]{64}$/i;
const hex64 = z
  .string()
  .regex(HEX_64)
  .transform((hex) => hex.toLowerCase());
const time = z.string().refine(isDateTime, 'is not a date-time');
const count = z.number().int().nonnegative().safe();
const keyType = z.enum(KEY_TYPES);

/** A text that Postgres can store, of at most this number of characters. */
const text = (most: number) =>
  z.string().refine((value) => textProblem(value, most) === undefined, {
    error: ({ input }) => textProblem(String(input), most),
  });
const filled = (most: number) => text(most).min(1);
/** Ids, correlation ids, names of policies and statuses. */
const ID_MOST = 100;
const id = filled(ID_MOST);

const answered = { correlationId: text(ID_MOST), responseTime: time };

// Taken as DICT has it, byte for byte, within the limits of the key base.
const entry = z
  .object({
    participant: z.string().refine(isIspb),
    keyType,
    key: filled(ENTRY_LIMITS.key),
    requestId: z.string().refine(isUuid),
    ownerType: filled(ENTRY_LIMITS.ownerType),
    taxIdNumber: filled(ENTRY_LIMITS.taxIdNumber),
    name: filled(ENTRY_LIMITS.name),
    tradeName: text(ENTRY_LIMITS.tradeName).optional(),
    branch: text(ENTRY_LIMITS.branch).optional(),
    accountNumber: filled(ENTRY_LIMITS.accountNumber),
    accountType: filled(ENTRY_LIMITS.accountType),
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
  id,
  result: z.enum(['OK', 'NOK']),
  participant: z.string(),
  keyType: z.string(),
});

const file = { id, participant: z.string(), keyType, requestTime: time };
const availableFile = z.object({
  ...answered,
  file: z.object({
    ...file,
    status: z.literal('AVAILABLE'),
    creationTime: time,
    url: text(500).optional(),
    bytes: count,
    sha256: hex64,
  }),
});
const unfinishedFile = z.object({
  ...answered,
  file: z.object({ ...file, status: id }).transform(({ status, ...rest }) => {
    const known = FILE_STATUSES.find((name) => name === status);
    return known === undefined || known === 'AVAILABLE'
      ? { ...rest, status: 'PROCESSING' as const, unknownStatus: status }
      : { ...rest, status: known };
  }),
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

// The largest integer of Postgres, where the token buckets are kept.
const INTEGER_MOST = 2 ** 31 - 1;
const positive = z.number().int().positive().max(INTEGER_MOST);
const policy = z.object({
  name: id,
  availableTokens: z.number().int().nonnegative().max(INTEGER_MOST),
  capacity: positive,
  refillTokens: positive,
  refillPeriodSec: positive,
});
const KNOWN_POLICIES: ReadonlySet<unknown> = new Set(Object.values(BACEN_POLICIES).map(({ name }) => name));
// A policy that is not known matters to nobody, so it may have any content.
const otherPolicy = z.looseObject({}).refine(({ name }) => !KNOWN_POLICIES.has(name));
const policies = z.object({ policies: z.array(z.union([policy, otherPolicy])) });

/** The answer by its schema, or DV_BRIDGE_NONSENSE naming the fields that are wrong. */
function parse<T>(method: BridgeMethod, schema: z.ZodType<T>, answer: object): T {
  const parsed = schema.safeParse(answer);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(
    ({ path, code, message }) => `${path.join('.')} ${code === 'custom' ? message : code}`,
  );
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
  const { status } = (answer as { file?: { status?: unknown } | null }).file ?? {};
  const { file: got, ...rest } =
    status === 'AVAILABLE' ? parse(method, availableFile, answer) : parse(method, unfinishedFile, answer);
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

/** The policies that can be read. Those that are not known and cannot be read are left out. */
export function readPolicies(answer: object): Policy[] {
  return parse('ListPolicies', policies, answer).policies.flatMap((listed) => {
    const parsed = policy.safeParse(listed);
    return parsed.success ? [parsed.data] : [];
  });
}
