import { impossible, one } from '../../errors/rows.ts';
import type { Entry } from '../entry/entry.ts';
import { holdKeys } from '../key-base/held-keys.ts';
import type { KeyType } from '../entry/key-type.ts';
import { removeEntries, updateEntries } from './local-entries.ts';
import type { Db } from '../vsync/vsync-store.ts';

/** The undo of one reconciliation. */
export interface Undo {
  undoRunId: string;
  /** The reconciliation that is undone. */
  runId: string;
  participant: string;
  keyType: KeyType;
}

/** The result of an undo for one key that the reconciliation had changed, as it is published. */
export interface UndoneKey {
  key: string;
  /** The last change that the reconciliation made to it. */
  decision: 'ADDED' | 'CORRECTED' | 'REMOVED';
  /** NEWER: left alone, because something newer than the reconciliation has changed it; `why` says what. */
  result: 'UNDONE' | 'NEWER';
  why: string | null;
  /** The entry before and after the undo; null if there is no entry. */
  before: unknown;
  after: unknown;
}

/** What a run changed, by key: the entry before the run's first change, and after its last change. */
interface Changed {
  key: string;
  decision: UndoneKey['decision'];
  /** Null: there was no such key. */
  original: Entry | null;
  left: { cid: string } | null;
  xid: string | null;
}

// An undo processes the keys in order, so its own last key shows where it is. Keys that an earlier, interrupted undo of
// the run processed are done.
const NEXT = `
  select k.key, last.decision, first.before as original, last.after as left, last.decided_xid::text as xid
  from (
    select distinct d.key from dict.divergences d
    where d.run_id = $1 and d.decision in ('ADDED', 'CORRECTED', 'REMOVED')
      and d.key > coalesce((select max(u.key) from dict.undone u where u.undo_run_id = $2), '')
      and not exists (select from dict.undone u where u.run_id = $1 and u.key = d.key)
    order by d.key limit $3) k
  cross join lateral (
    select before from dict.divergences d
    where d.run_id = $1 and d.key = k.key and d.decision in ('ADDED', 'CORRECTED', 'REMOVED')
    order by d.decided_xid limit 1) first
  cross join lateral (
    select decision, after, decided_xid from dict.divergences d
    where d.run_id = $1 and d.key = k.key and d.decision in ('ADDED', 'CORRECTED', 'REMOVED')
    order by d.decided_xid desc limit 1) last
  order by k.key`;

interface Present {
  key: string;
  cid: string;
  present: boolean;
  xid: string;
  byReconciliation: boolean;
  content: unknown;
}

// Locked in key order, as repairs lock.
const LOCK = `
  select e.key, encode(e.cid, 'hex') as cid, e.removed_at is null as present, e.changed_xid::text as xid,
    e.changed_why like 'reconciliation %' as "byReconciliation", dict.entry_json(e) as content
  from dict.entries e where e.participant = $1 and e.key_type = $2 and e.key = any ($3)
  order by e.key for update of e`;

/**
 * Undoes the next keys (at most `limit`, in order) that a reconciliation has changed, in the caller's transaction.
 * Locks them, checks whether anything newer has changed them, puts back the entries from before, marks the keys that
 * were put back as held, and records the result for each. Returns an empty list when nothing is left. A key that the
 * run changed twice gets the entry from before the first change.
 */
export async function undoChanges(tx: Db, undo: Undo, limit: number): Promise<UndoneKey[]> {
  const { undoRunId, runId, participant, keyType } = undo;
  const { rows: changes } = await tx.query<Changed>(NEXT, [runId, undoRunId, limit]);
  if (changes.length === 0) return [];
  const { rows } = await tx.query<Present>(LOCK, [participant, keyType, changes.map(({ key }) => key)]);
  const present = new Map(rows.map((row) => [row.key, row]));

  const undone: UndoneKey[] = [];
  const restored: Entry[] = [];
  const removed: string[] = [];
  for (const change of changes) {
    const { key, decision, original } = change;
    const row = present.get(key);
    const before = row?.present === true ? row.content : null;
    const why = newer(change, row);
    if (why !== null) {
      undone.push({ key, decision, result: 'NEWER', why, before, after: before });
      continue;
    }
    if (original !== null) restored.push(original);
    else if (before !== null) removed.push(key);
    undone.push({ key, decision, result: 'UNDONE', why, before, after: original });
  }
  await updateEntries(tx, restored, `undo ${undoRunId}`);
  await removeEntries(tx, participant, keyType, removed, `undo ${undoRunId}`);
  await holdKeys(
    tx,
    undoRunId,
    undone.filter(({ result }) => result === 'UNDONE').map(({ key }) => key),
  );
  await record(tx, undo, undone);
  return undone;
}

/** Why the key is no longer as the reconciliation left it; null if it is. */
function newer({ left, xid }: Changed, row: Present | undefined): string | null {
  if (row === undefined) return 'the key is no longer in the base at all';
  const asLeft = left === null ? !row.present : row.present && row.cid === left.cid;
  // The reconciliation's own transaction must have been the last to change it: another may have restored the same
  // content.
  if (asLeft && row.xid === xid) return null;
  return row.byReconciliation ? 'a later reconciliation has changed it' : 'it has changed since';
}

async function record(tx: Db, undo: Undo, undone: readonly UndoneKey[]): Promise<void> {
  await tx.query(
    `insert into dict.undone (undo_run_id, run_id, participant, key_type, key, decision, result, why, before, after, at)
     select $1, $2, $3, $4, x.key, x.decision, x.result, x.why, x.before, x.after, workflow.now()
     from jsonb_to_recordset($5::jsonb) as x (key text, decision text, result text, why text, before jsonb, after jsonb)`,
    [undo.undoRunId, undo.runId, undo.participant, undo.keyType, JSON.stringify(undone)],
  );
  await tx.query(
    `update dict.undos set keys_undone = keys_undone + $2, keys_left = keys_left + $3 where undo_run_id = $1`,
    [
      undo.undoRunId,
      undone.filter(({ result }) => result === 'UNDONE').length,
      undone.filter(({ result }) => result === 'NEWER').length,
    ],
  );
}

/** What an undo was asked to do and what it did. */
export interface UndoSummary {
  participant: string;
  keyType: KeyType;
  /** The reconciliation that was undone. */
  undoneRun: string;
  by: string;
  reason: string | null;
  /** How its run ended; null while it is open. */
  outcome: 'COMPLETED' | 'FAILED' | 'POISONED' | 'CANCELLED' | 'TERMINATED' | null;
  keysUndone: number;
  /** Keys left alone, because something newer has changed them. */
  keysLeft: number;
  askedAt: Date;
  endedAt: Date | null;
}

/** The summary of an undo run; undefined when the run is not an undo. */
export async function readUndo(db: Db, undoRunId: string): Promise<UndoSummary | undefined> {
  const { rows } = await db.query<{
    summary: (Omit<UndoSummary, 'askedAt' | 'endedAt'> & { askedAt: string; endedAt: string | null }) | null;
  }>('select dict.undo_summary($1) as summary', [undoRunId]);
  const { summary } = one(rows);
  if (summary === null) return undefined;
  return {
    ...summary,
    askedAt: new Date(summary.askedAt),
    endedAt: summary.endedAt === null ? null : new Date(summary.endedAt),
  };
}

/** Closes the row of an undo that processed all keys; dict.undo_closed() closes the others. */
export async function closeUndo(tx: Db, undoRunId: string): Promise<UndoSummary> {
  await tx.query(
    `update dict.undos set ended_at = workflow.now(), outcome = 'COMPLETED' where undo_run_id = $1`,
    [undoRunId],
  );
  const summary = await readUndo(tx, undoRunId);
  if (summary === undefined) throw impossible('An undo that was never opened has ended.');
  return summary;
}
