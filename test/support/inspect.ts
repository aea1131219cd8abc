import type { Pool } from 'pg';
import { expect, vi } from 'vitest';
import { computeCid } from '../../src/dict/entry/cid.ts';
import type { Entry } from '../../src/dict/entry/entry.ts';
import { KEY_TYPES, type KeyType } from '../../src/dict/entry/key-type.ts';
import { expectValidEvent } from './schemas.ts';
import { ISPB, type System } from './system.ts';

/** A key in the form that both sides can show. */
export type Shown = Entry & { cid: string };

/** The keys of the local base, by key. */
export async function localBase(pool: Pool, participant = ISPB): Promise<Map<string, Shown>> {
  const { rows } = await pool.query<{ content: Shown }>(
    `select dict.entry_json(e) as content from dict.entries e where participant = $1 and removed_at is null`,
    [participant],
  );
  return new Map(rows.map(({ content }) => [content.key, shown(content, content.cid)]));
}

/** The participant's keys at the simulated DICT, by key. */
export function dictBase({ dict }: Pick<System, 'dict'>, participant = ISPB): Map<string, Shown> {
  const all = KEY_TYPES.flatMap((keyType) => [...dict.directory.set(participant, keyType).entries()]);
  return new Map(all.map(({ entry, cid }) => [entry.key, shown(entry, cid)]));
}

/** Expects the local base to have exactly the keys that DICT has, field by field, with the CID computed by Postgres. */
export async function expectBaseLikeDict(system: System, participant = ISPB): Promise<void> {
  const local = await localBase(system.pool, participant);
  const dict = dictBase(system, participant);
  expect([...local.keys()].sort()).toEqual([...dict.keys()].sort());
  for (const [key, entry] of dict) expect(local.get(key)).toEqual(entry);
}

/** Expects the local base to have exactly these entries. */
export async function expectBase(system: System, entries: readonly Entry[]): Promise<void> {
  const local = await localBase(system.pool);
  expect([...local.keys()].sort()).toEqual(entries.map(({ key }) => key).sort());
  for (const entry of entries) {
    expect(local.get(entry.key)).toEqual(shown(entry, computeCid(entry).toString('hex')));
  }
}

function shown(entry: Entry, cid: string): Shown {
  const openingDate = entry.openingDate === null ? null : new Date(entry.openingDate).toISOString();
  return { ...entry, openingDate, cid };
}

/** A row of dict.reconciliations. */
export interface ReconciliationRow {
  outcome: string | null;
  reason: string | null;
  rounds: number;
  dictOnly: number;
  localOnly: number;
  added: number;
  corrected: number;
  removed: number;
  inFlight: number;
  approvedBy: string | null;
  ended: boolean;
}

export async function reconciliation(pool: Pool, runId: string): Promise<ReconciliationRow> {
  const { rows } = await pool.query<ReconciliationRow>(
    `select outcome, reason, rounds, dict_only_cids::integer as "dictOnly", local_only_cids::integer as "localOnly",
       keys_added::integer as added, keys_corrected::integer as corrected, keys_removed::integer as removed,
       keys_in_flight::integer as "inFlight", approved_by as "approvedBy", ended_at is not null as ended
     from dict.reconciliations where run_id = $1`,
    [runId],
  );
  return rows[0]!;
}

export interface DivergenceRow {
  round: number;
  side: string;
  cid: string;
  key: string | null;
  decision: string;
  before: Shown | null;
  after: Shown | null;
}

export async function divergences(pool: Pool, runId: string): Promise<DivergenceRow[]> {
  const { rows } = await pool.query<DivergenceRow>(
    `select round, side, encode(cid, 'hex') as cid, key, decision, before, after from dict.divergences
     where run_id = $1 order by round, side, cid`,
    [runId],
  );
  return rows;
}

/** The CID files that a reconciliation requested, oldest first. */
export async function cidFiles(
  pool: Pool,
  runId: string,
): Promise<{ round: number; status: string | null; refused: string | null }[]> {
  const { rows } = await pool.query<{ round: number; status: string | null; refused: string | null }>(
    'select round, status, refused_code as refused from dict.cid_files where run_id = $1 order by id',
    [runId],
  );
  return rows;
}

/** The reconciliations that a verification started, by key type. */
export async function childrenOf(pool: Pool, runId: string): Promise<Partial<Record<KeyType, string>>> {
  const { rows } = await pool.query<{ keyType: KeyType; id: string }>(
    `select input ->> 'keyType' as "keyType", id from workflow.runs where parent_id = $1 order by id`,
    [runId],
  );
  return Object.fromEntries(rows.map(({ keyType, id }) => [keyType, id]));
}

export interface Notification {
  participant: string;
  keyType: string;
  sequence: number;
  type: string;
  /** The event's data. */
  payload: Record<string, never>;
}

/**
 * What Core-Dict reads, in order, once the relay has delivered everything. Each message is checked against its schema.
 */
export async function notifications(pool: Pool): Promise<Notification[]> {
  await vi.waitFor(
    async () => {
      const { rows } = await pool.query('select from dict.outbox where delivered_at is null');
      expect(rows.length).toBe(0);
    },
    { timeout: 10_000, interval: 30 },
  );
  const { rows } = await pool.query<Notification & { event: unknown }>(
    `select participant, key_type as "keyType", sequence::integer, type, payload as event, payload -> 'data' as payload
     from dict.notifications order by participant, key_type, sequence`,
  );
  return rows.map(({ event, ...notification }) => {
    expectValidEvent(event);
    return notification;
  });
}

/** The notifications of one run as "type event", in order; the changes of several chunks count as one. */
export async function received(pool: Pool, runId: string): Promise<string[]> {
  return (await notifications(pool))
    .filter(({ payload }) => payload['runId'] === runId)
    .map(({ type, payload }) => [type, payload['event']].filter((part) => part !== undefined).join(' '))
    .filter((message, at, all) => message !== 'reconciliation.changes' || message !== all[at - 1]);
}

/** Changes local entries as the bank's own system does: other columns of one key. */
export async function changeLocally(
  pool: Pool,
  key: string,
  changes: { name?: string; accountNumber?: string },
): Promise<void> {
  await pool.query(
    `update dict.entries set name = coalesce($2, name), account_number = coalesce($3, account_number) where key = $1`,
    [key, changes.name ?? null, changes.accountNumber ?? null],
  );
}
