import type { Entry } from './entry.ts';
import type { KeyType } from './key-type.ts';
import type { Finding } from './repair-lookup.ts';
import type { Db } from './vsync-store.ts';

/**
 * The repair policy, Manual Operacional do DICT §9:
 *
 * | found                        | done                                                              |
 * | ---------------------------- | ----------------------------------------------------------------- |
 * | in DICT, not local           | ADDED exactly as DICT has it, from what was fetched this moment   |
 * | in both, with other values   | CORRECTED likewise; both its CIDs are decided as one change       |
 * | local, not in DICT           | REMOVED (softly), once DICT said 404 for the CID                  |
 * | changed since the snapshot   | IN_FLIGHT: left alone                                             |
 * | DICT has changed its mind    | SUPERSEDED: left alone, the next comparison tells                 |
 */
export type Decision = 'ADDED' | 'CORRECTED' | 'REMOVED' | 'IN_FLIGHT' | 'SUPERSEDED' | 'REFUSED';

interface Decided {
  cid: string;
  side: string;
  decision: Decision;
  why?: string;
  key?: string;
  before?: unknown;
  after?: unknown;
  correlationId?: string | null;
}

/** One key changed by a repair, as Core-Dict hears of it. */
export interface AppliedChange {
  decision: 'ADDED' | 'CORRECTED' | 'REMOVED';
  key: string;
  before: unknown;
  after: unknown;
}

/**
 * Decides and applies what DICT said about some divergences of a round, in the caller's transaction: locks the keys,
 * looks again, leaves alone what changed since the round's snapshot. Returns the changes made.
 */
export async function applyFindings(
  tx: Db,
  round: { runId: string; round: number; participant: string; keyType: KeyType },
  findings: readonly Finding[],
): Promise<AppliedChange[]> {
  const decided: Decided[] = [];
  await decideDictOnly(
    tx,
    round,
    findings.filter(({ side }) => side === 'DICT_ONLY'),
    decided,
  );
  await decideLocalOnly(
    tx,
    round,
    findings.filter(({ side }) => side === 'LOCAL_ONLY'),
    decided,
  );
  await record(tx, round, decided);
  return decided.flatMap(({ decision, key, before, after, side }) =>
    key !== undefined &&
    (decision === 'ADDED' || decision === 'REMOVED' || (decision === 'CORRECTED' && side === 'DICT_ONLY'))
      ? [{ decision, key, before: before ?? null, after: after ?? null }]
      : [],
  );
}

type Round = Parameters<typeof applyFindings>[1];

interface LocalRow {
  key: string;
  cid: string;
  present: boolean;
  settled: boolean;
  content: unknown;
}

// Locks in key order: two repairs, or a repair and a writer of many keys, then cannot wait for each other in a ring.
const LOCK_BY_KEY = `
  select e.key, encode(e.cid, 'hex') as cid, e.removed_at is null as present,
    pg_visible_in_snapshot(e.changed_xid, r.snapshot) and e.since <= r.settled_before as settled, dict.entry_json(e) as content
  from dict.entries e, dict.rounds r
  where r.run_id = $1 and r.round = $2 and e.participant = $3 and e.key_type = $4 and e.key = any ($5)
  order by e.key for update of e`;

const LOCK_BY_CID = `
  select e.key, encode(e.cid, 'hex') as cid, true as present,
    pg_visible_in_snapshot(e.changed_xid, r.snapshot) and e.since <= r.settled_before as settled, dict.entry_json(e) as content
  from dict.entries e, dict.rounds r
  where r.run_id = $1 and r.round = $2 and e.participant = $3 and e.key_type = $4 and e.cid = any ($5)
    and e.removed_at is null
  order by e.key for update of e`;

/** Keys that are gone from the base altogether, but went only after the snapshot. */
const LEFT_SINCE = `
  select distinct l.key from dict.cid_log l, dict.rounds r
  where r.run_id = $1 and r.round = $2 and l.participant = $3 and l.key_type = $4 and l.key = any ($5)
    and not (pg_visible_in_snapshot(l.left_xid, r.snapshot) and l.left_at <= r.settled_before)`;

async function decideDictOnly(
  tx: Db,
  round: Round,
  findings: readonly Finding[],
  decided: Decided[],
): Promise<void> {
  const fetched = new Map<string, { entry: Entry; finding: Finding }>();
  for (const finding of findings) {
    if (finding.says === 'ENTRY' && fetched.has(finding.entry.key)) {
      decided.push({ ...base(finding), decision: 'REFUSED', why: 'DICT sent two entries for one key' });
    } else if (finding.says === 'ENTRY') fetched.set(finding.entry.key, { entry: finding.entry, finding });
    else decided.push(undecidable(finding, 'DICT no longer has this CID'));
  }
  const keys = [...fetched.keys()];
  if (keys.length === 0) return;
  const scope = [round.runId, round.round, round.participant, round.keyType, keys];
  const local = new Map((await tx.query<LocalRow>(LOCK_BY_KEY, scope)).rows.map((row) => [row.key, row]));
  const left = new Set((await tx.query<{ key: string }>(LEFT_SINCE, scope)).rows.map(({ key }) => key));

  const additions: Entry[] = [];
  const corrections: Entry[] = [];
  for (const [key, { entry, finding }] of fetched) {
    const row = local.get(key);
    if (row?.settled === false || (row === undefined && left.has(key))) {
      decided.push(inFlight(finding, key, row));
    } else if (row === undefined) {
      additions.push(entry);
    } else {
      corrections.push(entry);
    }
  }

  const added = new Set(await insertEntries(tx, additions));
  const written = new Map(
    (await updateEntries(tx, corrections, `reconciliation ${round.runId}`)).map((row) => [
      row.key,
      row.content,
    ]),
  );
  for (const entry of additions) {
    const { finding } = fetched.get(entry.key)!;
    // Somebody added the key between our look and our insert.
    if (!added.has(entry.key)) decided.push(inFlight(finding, entry.key, undefined));
    else
      decided.push({
        ...base(finding),
        decision: 'ADDED',
        key: entry.key,
        after: written.get(entry.key) ?? content(entry, finding),
      });
  }
  for (const entry of corrections) {
    const { finding } = fetched.get(entry.key)!;
    const row = local.get(entry.key)!;
    const change = { key: entry.key, after: written.get(entry.key) };
    if (!row.present) {
      // Soft-removed before the snapshot: for Core-Dict the key is new.
      decided.push({ ...base(finding), ...change, decision: 'ADDED' });
      continue;
    }
    const corrected = { ...change, decision: 'CORRECTED' as const, before: row.content };
    decided.push({ ...base(finding), ...corrected });
    decided.push({ cid: row.cid, side: 'LOCAL_ONLY', ...corrected, correlationId: finding.correlationId });
  }
}

async function decideLocalOnly(
  tx: Db,
  round: Round,
  findings: readonly Finding[],
  decided: Decided[],
): Promise<void> {
  // Those whose key was corrected in this very transaction are decided already.
  const done = new Set(decided.filter(({ side }) => side === 'LOCAL_ONLY').map(({ cid }) => cid));
  const absent: Finding[] = [];
  for (const finding of findings) {
    if (done.has(finding.cid.toString('hex'))) continue;
    if (finding.says === 'ABSENT') absent.push(finding);
    else decided.push(undecidable(finding, 'DICT has this CID after all'));
  }
  if (absent.length === 0) return;
  const { rows } = await tx.query<LocalRow>(LOCK_BY_CID, [
    round.runId,
    round.round,
    round.participant,
    round.keyType,
    absent.map(({ cid }) => cid),
  ]);
  const local = new Map(rows.map((row) => [row.cid, row]));
  const removals: string[] = [];
  for (const finding of absent) {
    const row = local.get(finding.cid.toString('hex'));
    if (row === undefined) {
      decided.push({
        ...base(finding),
        decision: 'IN_FLIGHT',
        why: 'the key has changed locally since the comparison',
      });
    } else if (!row.settled) {
      decided.push(inFlight(finding, row.key, row));
    } else {
      removals.push(row.key);
      decided.push({ ...base(finding), decision: 'REMOVED', key: row.key, before: row.content });
    }
  }
  await tx.query(
    `update dict.entries set removed_at = workflow.now(), changed_why = $4
     where participant = $1 and key_type = $2 and key = any ($3)`,
    [round.participant, round.keyType, removals, `reconciliation ${round.runId}`],
  );
}

function base(finding: Finding): Pick<Decided, 'cid' | 'side' | 'correlationId'> {
  return { cid: finding.cid.toString('hex'), side: finding.side, correlationId: finding.correlationId };
}

function inFlight(finding: Finding, key: string, row: LocalRow | undefined): Decided {
  const why = 'the key has changed locally since the snapshot';
  return { ...base(finding), decision: 'IN_FLIGHT', why, key, before: row?.content };
}

function undecidable(finding: Finding, why: string): Decided {
  return finding.says === 'REFUSED'
    ? { ...base(finding), decision: 'REFUSED', why: finding.why }
    : { ...base(finding), decision: 'SUPERSEDED', why };
}

function content(entry: Entry, finding: Finding): unknown {
  return { ...entry, cid: finding.cid.toString('hex') };
}

/** The entries as rows for SQL: names of columns, and only those. */
const ROWS = `jsonb_to_recordset($1::jsonb) as x ("participant" text, "keyType" text, "key" text, "requestId" uuid,
  "ownerType" text, "taxIdNumber" text, "name" text, "tradeName" text, "branch" text, "accountNumber" text,
  "accountType" text, "openingDate" timestamptz)`;

/** Inserts entries whose key the base doesn't know; answers the keys inserted. */
async function insertEntries(tx: Db, entries: readonly Entry[]): Promise<string[]> {
  if (entries.length === 0) return [];
  const { rows } = await tx.query<{ key: string }>(
    `insert into dict.entries (participant, key_type, key, request_id, owner_type, tax_id_number, name, trade_name, branch,
       account_number, account_type, opening_date)
     select "participant", "keyType", "key", "requestId", "ownerType", "taxIdNumber", "name", "tradeName", "branch",
       "accountNumber", "accountType", "openingDate" from ${ROWS} order by "key"
     on conflict do nothing returning key`,
    [JSON.stringify(entries)],
  );
  return rows.map(({ key }) => key);
}

/** Overwrites locked entries with what DICT has; a softly removed one comes back. */
async function updateEntries(
  tx: Db,
  entries: readonly Entry[],
  why: string,
): Promise<{ key: string; content: unknown }[]> {
  if (entries.length === 0) return [];
  const { rows } = await tx.query<{ key: string; content: unknown }>(
    `update dict.entries e set request_id = "requestId", owner_type = "ownerType", tax_id_number = "taxIdNumber",
       name = x."name", trade_name = "tradeName", branch = x."branch", account_number = "accountNumber",
       account_type = "accountType", opening_date = "openingDate", removed_at = null, changed_why = $2
     from ${ROWS}
     where e.participant = x."participant" and e.key_type = "keyType" and e.key = x."key"
     returning e.key, dict.entry_json(e) as content`,
    [JSON.stringify(entries), why],
  );
  return rows;
}

async function record(tx: Db, round: Round, decided: readonly Decided[]): Promise<void> {
  await tx.query(
    `update dict.divergences d set decision = x.decision, why = x.why, key = x.key, before = x.before, after = x.after,
       correlation_id = x."correlationId", decided_at = workflow.now()
     from jsonb_to_recordset($3::jsonb) as x (cid text, decision text, why text, key text, before jsonb, after jsonb,
       "correlationId" text)
     where d.run_id = $1 and d.round = $2 and d.cid = decode(x.cid, 'hex') and d.decision = 'PENDING'`,
    [round.runId, round.round, JSON.stringify(decided)],
  );
}
