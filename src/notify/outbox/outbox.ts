import { one } from '../../errors/rows.ts';
import type { Transaction } from '../../engine/index.ts';
import type { KeyType } from '../../dict/entry/key-type.ts';
import type { AppliedChange } from '../../dict/repair/repair-policy.ts';
import type { UndoneKey } from '../../dict/repair/undo.ts';
import type { Message } from './messages.ts';
import { toPages } from './paging.ts';

/** Puts a message to Core-Dict into the outbox, in the transaction that causes it. */
export async function publish(
  tx: Transaction,
  participant: string,
  keyType: KeyType | 'ALL',
  runId: string,
  message: Message,
): Promise<void> {
  await tx.query('select dict.publish($1, $2, $3, $4, $5)', [
    participant,
    keyType,
    message.type,
    JSON.stringify(message.content),
    runId,
  ]);
}

/** The content of a message of each type. */
type Content<T extends Message['type']> = Extract<Message, { type: T }>['content'];

/** Publishes verification.summary of a logged verification. Returns its outcome. */
export async function publishVerificationSummary(
  tx: Transaction,
  runId: string,
): Promise<Content<'verification.summary'>['outcome']> {
  const { rows } = await tx.query<{ outcome: Content<'verification.summary'>['outcome'] }>(
    'select dict.publish_verification_summary($1) as outcome',
    [runId],
  );
  return one(rows).outcome;
}

/** Publishes reconciliation.notification. `more` are the fields that only this event has. */
export async function publishNotification(
  tx: Transaction,
  runId: string,
  event: Content<'reconciliation.notification'>['event'],
  more: Pick<Content<'reconciliation.notification'>, 'divergences' | 'quarantined'> = {},
): Promise<void> {
  await tx.query('select dict.publish_reconciliation_notification($1, $2, more => $3)', [
    runId,
    event,
    JSON.stringify(more),
  ]);
}

/** Publishes undo.done of an undo that has ended. */
export async function publishUndoDone(tx: Transaction, runId: string): Promise<void> {
  await tx.query('select dict.publish_undo_done($1)', [runId]);
}

/** The run whose changes are published. */
export interface ChangesOf {
  runId: string;
  participant: string;
  keyType: KeyType;
}

/** Publishes what a reconciliation changed, in one or more pages, in the transaction that made the changes. */
export async function publishChanges(
  tx: Transaction,
  { runId, participant, keyType }: ChangesOf,
  changes: readonly AppliedChange[],
): Promise<void> {
  const pages = toPages(changes.map(withCids));
  let page = await countPages(tx, COUNT_RECONCILIATION, runId, pages.length, changes.length);
  for (const pageChanges of pages) {
    const content = { runId, page: ++page, changes: pageChanges };
    await publish(tx, participant, keyType, runId, { type: 'reconciliation.changes', content });
  }
}

/** Publishes what an undo did with keys, in one or more pages, in the transaction that did it. */
export async function publishUndone(
  tx: Transaction,
  { runId, undoneRun, participant, keyType }: ChangesOf & { undoneRun: string },
  changes: readonly UndoneKey[],
): Promise<void> {
  const pages = toPages(changes.map(withCids));
  let page = await countPages(tx, COUNT_UNDO, runId, pages.length, changes.length);
  for (const pageChanges of pages) {
    const content = { runId, undoneRun, page: ++page, changes: pageChanges };
    await publish(tx, participant, keyType, runId, { type: 'undo.changes', content });
  }
}

/** How many pages and changes of a reconciliation or an undo have been published. */
export async function readPublished(
  tx: Transaction,
  runId: string,
): Promise<{ pageCount: number; changeCount: number }> {
  const { rows } = await tx.query<{ pageCount: number; changeCount: number }>(
    `select pages_published as "pageCount", changes_published::float8 as "changeCount" from dict.reconciliations where run_id = $1
     union all
     select pages_published, changes_published::float8 from dict.undos where undo_run_id = $1`,
    [runId],
  );
  return one(rows);
}

const COUNT_RECONCILIATION = `
  update dict.reconciliations set pages_published = pages_published + $2, changes_published = changes_published + $3
  where run_id = $1 returning pages_published`;
const COUNT_UNDO = `
  update dict.undos set pages_published = pages_published + $2, changes_published = changes_published + $3
  where undo_run_id = $1 returning pages_published`;

/** Counts pages that are about to be published. Returns the number of the last page before them. */
async function countPages(
  tx: Transaction,
  count: string,
  runId: string,
  pages: number,
  changes: number,
): Promise<number> {
  const { rows } = await tx.query<{ pages_published: number }>(count, [runId, pages, changes]);
  return one(rows).pages_published - pages;
}

/** Adds the CIDs beside the content, so that they remain if the content is left out. */
function withCids<T extends { before: unknown; after: unknown }>(
  change: T,
): T & { cidBefore: string | null; cidAfter: string | null } {
  return { ...change, cidBefore: cidOf(change.before), cidAfter: cidOf(change.after) };
}

function cidOf(entry: unknown): string | null {
  return (entry as { cid?: string } | null)?.cid ?? null;
}
