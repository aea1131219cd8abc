import {
  objectionTo,
  REGISTRATION_REFUSED,
  REGISTRATION_WAS_REFUSED,
  type RemovalEvidence,
} from './removal-evidence.ts';
import type { Entry } from '../entry/entry.ts';
import { HELD_WHY, heldKeys } from '../key-base/held-keys.ts';
import type { KeyType } from '../entry/key-type.ts';
import {
  contentByKey,
  insertEntries,
  KEYS_OF_CIDS,
  LEFT_SINCE,
  type LocalRow,
  LOCK_BY_CID,
  LOCK_BY_KEY,
  removeEntries,
  updateEntries,
} from './local-entries.ts';
import type { Finding } from './repair-lookup.ts';
import type { Db } from '../vsync/vsync-store.ts';

/**
 * The repair policy, Manual Operacional do DICT §9. Both CIDs of one changed key are decided as one change. The next
 * comparison finds again what was left alone.
 *
 * | found                        | done                                                              |
 * | ---------------------------- | ----------------------------------------------------------------- |
 * | in DICT, not local           | ADDED exactly as DICT has it, from the entry just fetched         |
 * | in both, with other values   | CORRECTED to the entry just fetched; both CIDs are one change     |
 * | local, not in DICT           | REMOVED (soft-deleted), after DICT answered 404 for the CID       |
 * | the same, but a person says  | REGISTERED at DICT after that 404 (Manual §3.3) with a new        |
 * | that the key is right        | RequestId, which the local entry gets with DICT's answer; never   |
 * |                              | an EVP. REFUSED when DICT refuses: left alone                     |
 * | changed since the snapshot   | IN_FLIGHT: left alone                                             |
 * | undone by a person           | HELD: left alone until a person releases the key                  |
 * | DICT has changed meanwhile   | SUPERSEDED: left alone, the next comparison decides; so is the    |
 * |                              | other half of a key that DICT received since the snapshot, and    |
 * |                              | what would no longer be done as it was planned (and approved)     |
 * | DICT shows no entry that can | QUARANTINED: left alone, with the reason and DICT's correlation   |
 * | be used for one of its CIDs  | id, and so is the local half if the key is known                  |
 * | local, not in DICT, perhaps  | UNSURE: left alone, a person is asked                             |
 * | the half of such a CID, or   |                                                                   |
 * | DICT refused to register it  |                                                                   |
 */
export type Decision =
  | 'ADDED'
  | 'CORRECTED'
  | 'REMOVED'
  | 'REGISTERED'
  | 'IN_FLIGHT'
  | 'HELD'
  | 'SUPERSEDED'
  | 'REFUSED'
  | 'QUARANTINED'
  | 'UNSURE';

interface Decided {
  cid: string;
  side: string;
  decision: Decision;
  why?: string | undefined;
  key?: string | undefined;
  before?: unknown;
  after?: unknown;
  correlationId?: string | null;
}

/** One key changed by a repair, as it is published. REGISTERED: at DICT; before and after differ in the RequestId. */
export interface AppliedChange {
  decision: 'ADDED' | 'CORRECTED' | 'REMOVED' | 'REGISTERED';
  key: string;
  before: unknown;
  after: unknown;
}

/**
 * Decides about some divergences of a round from DICT's answers and applies the decisions, in the caller's transaction.
 * Locks the keys, checks them again, and leaves alone those that changed since the round's snapshot or that DICT
 * received since then (`evidence`). What was planned otherwise, so that a person did not see it, is left alone as well.
 * Returns the changes made.
 */
export async function applyFindings(
  tx: Db,
  round: { runId: string; round: number; participant: string; keyType: KeyType },
  findings: readonly Finding[],
  evidence: RemovalEvidence,
): Promise<AppliedChange[]> {
  const ofSide = (asked: Finding['side']) => findings.filter(({ side }) => side === asked);
  const dict = await decideDictOnly(tx, round, ofSide('DICT_ONLY'));
  await record(tx, round, dict);
  // A local CID whose key was corrected in this transaction is already decided.
  const done = new Set(dict.map(({ cid }) => cid));
  const local = await decideLocalOnly(
    tx,
    round,
    ofSide('LOCAL_ONLY').filter(({ cid }) => !done.has(cid.toString('hex'))),
    evidence,
  );
  await record(tx, round, local);
  return [...dict, ...local].flatMap(({ decision, key, before, after, side }) =>
    key !== undefined &&
    (decision === 'ADDED' ||
      decision === 'REMOVED' ||
      decision === 'REGISTERED' ||
      (decision === 'CORRECTED' && side === 'DICT_ONLY'))
      ? [{ decision, key, before: before ?? null, after: after ?? null }]
      : [],
  );
}

type Round = Parameters<typeof applyFindings>[1];

/** Keys that DICT has with an entry that cannot be used. */
const QUARANTINED_KEYS = `
  select key from dict.divergences
  where run_id = $1 and round = $2 and side = 'DICT_ONLY' and decision = 'QUARANTINED' and key = any ($3)`;

/** What was planned for each CID, and by whom; DICT's refusal to register it in this or an earlier run. */
const PLANNED = `
  select encode(d.cid, 'hex') as cid, d.planned, d.plan,
    ${REGISTRATION_WAS_REFUSED} as "registrationRefused"
  from dict.divergences d join dict.reconciliations n using (run_id)
  where d.run_id = $1 and d.round = $2 and d.cid = any ($3)`;

interface Planned {
  cid: string;
  planned: string | null;
  plan: string | null;
  registrationRefused: boolean;
}

async function readPlanned(tx: Db, round: Round, cids: readonly Buffer[]): Promise<Map<string, Planned>> {
  const { rows } = await tx.query<Planned>(PLANNED, [round.runId, round.round, cids]);
  return new Map(rows.map((row) => [row.cid, row]));
}

/** `why` of what would be done otherwise than it was planned. */
const NOT_AS_PLANNED = 'it is no longer what was planned: the next comparison decides';

async function decideDictOnly(tx: Db, round: Round, findings: readonly Finding[]): Promise<Decided[]> {
  const decided: Decided[] = [];
  const fetched = new Map<string, { entry: Entry; finding: Finding }>();
  const cids = findings.map(({ cid }) => cid);
  const planned = await readPlanned(tx, round, cids);
  const known = await keysOf(tx, round, cids);
  for (const finding of findings) {
    if (finding.says !== 'ENTRY') {
      decided.push(
        undecidable(finding, 'DICT no longer has this CID', known.get(finding.cid.toString('hex'))),
      );
      continue;
    }
    const { entry } = finding;
    const why = 'DICT sent two entries for one key';
    if (!fetched.has(entry.key)) fetched.set(entry.key, { entry, finding });
    else decided.push({ ...base(finding), decision: 'QUARANTINED', why, key: entry.key });
  }
  const keys = [...fetched.keys()];
  if (keys.length === 0) return decided;
  const scope = [round.runId, round.round, round.participant, round.keyType, keys];
  const local = new Map((await tx.query<LocalRow>(LOCK_BY_KEY, scope)).rows.map((row) => [row.key, row]));
  const left = new Set((await tx.query<{ key: string }>(LEFT_SINCE, scope)).rows.map(({ key }) => key));
  const held = await heldKeys(tx, round.participant, round.keyType, keys);

  const additions: Entry[] = [];
  const corrections: Entry[] = [];
  for (const [key, { entry, finding }] of fetched) {
    const row = local.get(key);
    if (held.has(key)) {
      decided.push(leftHeld(finding, key, row));
    } else if (row?.notInFlight === false || (row === undefined && left.has(key))) {
      decided.push(inFlight(finding, key, row));
    } else if (
      !isAsPlanned(planned.get(finding.cid.toString('hex')), row?.present === true ? 'CORRECT' : 'ADD')
    ) {
      decided.push({
        ...base(finding),
        decision: 'SUPERSEDED',
        why: NOT_AS_PLANNED,
        key,
        before: row?.content,
      });
    } else if (row === undefined) {
      additions.push(entry);
    } else {
      corrections.push(entry);
    }
  }

  const added = contentByKey(await insertEntries(tx, additions));
  const written = contentByKey(await updateEntries(tx, corrections, reason(round)));
  for (const { key } of additions) {
    const { finding } = fetched.get(key)!;
    // Somebody added the key between our check and our insert.
    if (!added.has(key)) decided.push(inFlight(finding, key, undefined));
    else decided.push({ ...base(finding), decision: 'ADDED', key, after: added.get(key) });
  }
  for (const entry of corrections) {
    const { finding } = fetched.get(entry.key)!;
    const row = local.get(entry.key)!;
    const change = { key: entry.key, after: written.get(entry.key) };
    if (!row.present) {
      // Soft-deleted before the snapshot: for Core-Dict the key is new.
      decided.push({ ...base(finding), ...change, decision: 'ADDED' });
      continue;
    }
    const corrected = { ...change, decision: 'CORRECTED' as const, before: row.content };
    decided.push({ ...base(finding), ...corrected });
    decided.push({ cid: row.cid, side: 'LOCAL_ONLY', ...corrected, correlationId: finding.correlationId });
  }
  return decided;
}

async function decideLocalOnly(
  tx: Db,
  round: Round,
  findings: readonly Finding[],
  evidence: RemovalEvidence,
): Promise<Decided[]> {
  const { runId, participant, keyType } = round;
  const absent = findings.filter(({ says }) => says === 'ABSENT' || says === 'REGISTERED');
  const decided = findings
    .filter((finding) => !absent.includes(finding))
    .map((finding) => undecidable(finding, 'DICT has this CID after all'));
  if (absent.length === 0) return decided;
  const cids = absent.map(({ cid }) => cid);
  const { rows } = await tx.query<LocalRow>(LOCK_BY_CID, [runId, round.round, participant, keyType, cids]);
  const local = new Map(rows.map((row) => [row.cid, row]));
  const lastKeys = await keysOf(tx, round, cids);
  const planned = await readPlanned(tx, round, cids);
  const quarantined = await tx.query<{ key: string }>(QUARANTINED_KEYS, [
    runId,
    round.round,
    rows.map(({ key }) => key),
  ]);
  const quarantinedKeys = new Set(quarantined.rows.map(({ key }) => key));
  // A CID that is no longer present may have been removed by an undo; its key is held.
  const keys = [...rows.map(({ key }) => key), ...lastKeys.values()];
  const held = await heldKeys(tx, participant, keyType, keys);

  const removals: string[] = [];
  const registered: { finding: Finding; entry: Entry; row: LocalRow }[] = [];
  for (const finding of absent) {
    const cid = finding.cid.toString('hex');
    const row = local.get(cid);
    const key = row?.key ?? lastKeys.get(cid);
    if (finding.says === 'REGISTERED') {
      if (row?.notInFlight === true) registered.push({ finding, entry: finding.entry, row });
      else decided.push(registeredButChanged(finding, key, row));
    } else if (key !== undefined && held.has(key)) {
      decided.push(leftHeld(finding, key, row));
    } else if (row === undefined || !row.notInFlight) {
      decided.push(inFlight(finding, key, row));
    } else if (finding.says === 'ABSENT' && finding.keep === true) {
      const why = 'it was marked to be registered at DICT, which was not possible at that moment';
      decided.push({ ...base(finding), decision: 'SUPERSEDED', why, key: row.key, before: row.content });
    } else {
      const left = leftAlone(row, planned.get(cid));
      if (left === undefined) removals.push(row.key);
      const outcome = left ?? { decision: 'REMOVED' };
      decided.push({ ...base(finding), ...outcome, key: row.key, before: row.content });
    }
  }
  await removeEntries(tx, participant, keyType, removals, reason(round));
  // Without the new RequestId the local entry would have another CID than DICT's.
  const entries = registered.map(({ entry }) => entry);
  const written = contentByKey(await updateEntries(tx, entries, reason(round)));
  for (const { finding, row } of registered) {
    const change = { key: row.key, before: row.content, after: written.get(row.key) };
    decided.push({ ...base(finding), ...change, decision: 'REGISTERED' });
  }
  return decided;

  /** Why the key is not removed although DICT does not have its CID; undefined: it is removed. */
  function leftAlone(
    row: LocalRow,
    plan: Planned | undefined,
  ): Pick<Decided, 'decision' | 'why'> | undefined {
    if (quarantinedKeys.has(row.key)) {
      return { decision: 'QUARANTINED', why: 'DICT has this key, with an entry that cannot be used' };
    }
    const objection = objectionTo(evidence, row.cid, row.key);
    // A person has decided what nothing can prove.
    if (objection !== undefined && !(objection.decision === 'UNSURE' && plan?.plan === 'REMOVE'))
      return objection;
    if (plan?.registrationRefused === true && plan.plan !== 'REMOVE') {
      return { decision: 'UNSURE', why: REGISTRATION_REFUSED };
    }
    return isAsPlanned(plan, 'REMOVE') ? undefined : { decision: 'SUPERSEDED', why: NOT_AS_PLANNED };
  }
}

/** Whether a change is what was planned. Of a set that was too large to ask DICT before, nothing was planned. */
function isAsPlanned(plan: Planned | undefined, change: 'ADD' | 'CORRECT' | 'REMOVE'): boolean {
  return plan === undefined || plan.planned === null || plan.planned === change;
}

/** The last keys of CIDs that are or were in the base. */
async function keysOf(
  tx: Db,
  { participant, keyType }: Round,
  cids: readonly Buffer[],
): Promise<Map<string, string>> {
  const { rows } = await tx.query<{ cid: string; key: string }>(KEYS_OF_CIDS, [participant, keyType, cids]);
  return new Map(rows.map(({ cid, key }) => [cid, key]));
}

function reason({ runId }: Round): string {
  return `reconciliation ${runId}`;
}

function base(finding: Finding): Pick<Decided, 'cid' | 'side' | 'correlationId'> {
  return { cid: finding.cid.toString('hex'), side: finding.side, correlationId: finding.correlationId };
}

function inFlight(finding: Finding, key: string | undefined, row: LocalRow | undefined): Decided {
  const why = 'the key has changed locally since the snapshot';
  return {
    ...base(finding),
    decision: 'IN_FLIGHT',
    why,
    key,
    before: row?.content,
  };
}

function leftHeld(finding: Finding, key: string, row: LocalRow | undefined): Decided {
  return { ...base(finding), decision: 'HELD', why: HELD_WHY, key, before: row?.content };
}

/** The key was registered at DICT, but its local entry is no longer that one: the next comparison decides. */
function registeredButChanged(finding: Finding, key: string | undefined, row: LocalRow | undefined): Decided {
  const content = { before: row?.content, after: row?.content };
  const why = 'the key has changed locally since it was registered';
  return { ...base(finding), ...content, decision: 'REGISTERED', why, key };
}

function undecidable(finding: Finding, why: string, known?: string): Decided {
  const named =
    finding.says === 'ENTRY'
      ? finding.entry.key
      : finding.says === 'REFUSED' || finding.says === 'QUARANTINED'
        ? finding.key
        : undefined;
  const outcome =
    finding.says === 'REFUSED' || finding.says === 'QUARANTINED'
      ? { decision: finding.says, why: finding.why }
      : { decision: 'SUPERSEDED' as const, why };
  return { ...base(finding), ...outcome, key: named ?? known };
}

async function record(tx: Db, round: Round, decided: readonly Decided[]): Promise<void> {
  if (decided.length === 0) return;
  await tx.query(
    `update dict.divergences d set decision = x.decision, why = x.why, key = x.key, before = x.before, after = x.after,
       correlation_id = x."correlationId", decided_at = workflow.now(), decided_xid = pg_current_xact_id()
     from jsonb_to_recordset($3::jsonb) as x (cid text, decision text, why text, key text, before jsonb, after jsonb,
       "correlationId" text)
     where d.run_id = $1 and d.round = $2 and d.cid = decode(x.cid, 'hex') and d.decision = 'PENDING'`,
    [round.runId, round.round, JSON.stringify(decided)],
  );
}
