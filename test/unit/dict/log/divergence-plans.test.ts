import { randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import { beforeEach, expect, test } from 'vitest';
import { divergencesCsv } from '../../../../src/dict/log/divergence-csv.ts';
import { readDivergenceReport } from '../../../../src/dict/log/divergence-report.ts';
import { judgeHeld } from '../../../../src/dict/key-base/held-keys.ts';
import { judgeRound } from '../../../../src/dict/repair/in-flight.ts';
import {
  openReconciliation,
  openRound,
  recordFindings,
} from '../../../../src/dict/log/reconciliation-log.ts';
import { keepPlans } from '../../../../src/dict/repair/registration.ts';
import { pendingDivergences } from '../../../../src/dict/repair/repair-lookup.ts';
import type { Db } from '../../../../src/dict/vsync/vsync-store.ts';
import { freezeRound } from '../../../../src/dict/repair/repair-plan.ts';
import { useTestDatabase } from '../../../support/database.ts';
import { ISPB, forgetAll } from '../entry/entries.ts';

interface Plan {
  'Node Type': string;
  'Relation Name'?: string;
  'CTE Name'?: string;
  'Index Name'?: string;
  'Index Cond'?: string;
  'Parent Relationship'?: string;
  Plans?: Plan[];
}

const database = useTestDatabase();
const KEY_TYPE = 'EMAIL';
/** The CIDs of each side: enough for Postgres to choose the plans that it chooses for 100,000. */
const EACH = 4000;

/** Tables that grow with the number of divergences, or with the key base. */
const LARGE = new Set(['divergences', 'entries', 'cid_history', 'cid_changes']);

const leaves = (plan: Plan): Plan[] => [
  ...(plan['Relation Name'] === undefined && plan['CTE Name'] === undefined ? [] : [plan]),
  // What is made once, before, does not count as its rows.
  ...(plan.Plans ?? []).filter((part) => part['Parent Relationship'] !== 'InitPlan').flatMap(leaves),
];
const isLarge = (scan: Plan) => scan['CTE Name'] !== undefined || LARGE.has(scan['Relation Name'] ?? '');

/** Whether a scan finds its row by one of its keys, instead of reading a run's rows, or all rows, each time. */
const isLookup = (scan: Plan): boolean =>
  scan['Node Type'] === 'Tid Scan' ||
  (scan['Node Type'] === 'Bitmap Heap Scan' && (scan.Plans ?? []).every(isLookup)) ||
  // In the index of those pending the side comes before the CID.
  ((scan['Index Name'] !== 'divergences_pending' || /\bside\b/.test(scan['Index Cond'] ?? '')) &&
    /\b(cid|key)\b/.test(scan['Index Cond'] ?? ''));

/** Scans of a large table that are repeated for each row of a large one. */
function repeated(plan: Plan): Plan[] {
  const side = (name: string) => plan.Plans?.find((part) => part['Parent Relationship'] === name);
  const [outer, inner] = [side('Outer'), side('Inner')];
  const here =
    plan['Node Type'] === 'Nested Loop' && outer !== undefined && inner !== undefined
      ? leaves(outer).some(isLarge)
        ? leaves(inner).filter((scan) => isLarge(scan) && !isLookup(scan))
        : []
      : [];
  return [...here, ...(plan.Plans ?? []).flatMap(repeated)];
}

/** A connection that asks for the plan of each statement before it runs it. */
function explaining(client: PoolClient, plans: { sql: string; plan: Plan }[]): Db {
  const query = async (sql: string, values: unknown[]) => {
    const { rows } = await client.query<{ 'QUERY PLAN': { Plan: Plan }[] }>(
      `explain (format json) ${sql}`,
      values,
    );
    plans.push({ sql, plan: rows[0]!['QUERY PLAN'][0]!.Plan });
    return client.query(sql, values);
  };
  return { query } as unknown as Db;
}

beforeEach(async () => {
  await forgetAll(database.pool);
  // Only the product itself may inform the planner about their contents.
  await database.pool.query(`
    alter table dict.entries set (autovacuum_enabled = false);
    alter table dict.cid_history set (autovacuum_enabled = false);
    alter table dict.cid_changes set (autovacuum_enabled = false);
    alter table dict.divergences set (autovacuum_enabled = false);
    truncate dict.entries, dict.cid_history, dict.cid_changes, dict.reconciliations cascade`);
});

/** A reconciliation that has compared, with the same number of CIDs on each side. */
async function compared(client: PoolClient): Promise<{ runId: string; round: number }> {
  const runId = randomUUID();
  await openReconciliation(client, runId, ISPB, KEY_TYPE);
  const round = await openRound(client, runId, 0);
  await client.query(
    `insert into dict.divergences (run_id, round, cid, side)
     (select $1::uuid, $2::int, cid, 'LOCAL_ONLY' from dict.entries limit $3::int)
     union all
     select $1, $2, sha256(i::text::bytea), 'DICT_ONLY' from generate_series(1, $3::int) i`,
    [runId, round, EACH],
  );
  const counts = { dictOnly: EACH, localOnly: EACH };
  await recordFindings(client, runId, round, {
    ...counts,
    foundBy: 'FILE',
    foundByReason: 'a test',
  });
  return { runId, round };
}

test.each([
  ['tables that were never analysed', false],
  ['tables whose statistics cover other runs only', true],
])('over %s no statement reads a whole round, or the base, for each row', async (_, others) => {
  const client = await database.pool.connect();
  try {
    await client.query(
      `insert into dict.entries (participant, key_type, key, request_id, owner_type, tax_id_number, name, account_number, account_type)
       select $1, $2, i || '@x.br', md5(i::text)::uuid, 'NATURAL_PERSON', '00000000191', 'Ana', '1', 'CACC'
       from generate_series(1, 2 * $3::int) i`,
      [ISPB, KEY_TYPE, EACH],
    );
    await client.query(`update dict.entries set name = 'Rui' where key like '%1@x.br'`);
    // Changes of single keys that are not folded yet.
    await client.query(
      `insert into dict.cid_changes (participant, key_type, key, cid, left_at)
       select $1, $2, 'gone ' || i, sha256(('gone ' || i)::bytea), now() from generate_series(1, $3::int) i`,
      [ISPB, KEY_TYPE, EACH],
    );
    if (others) {
      for (let run = 0; run < 2; run++) await compared(client);
      await client.query('analyze dict.entries, dict.cid_history, dict.cid_changes, dict.divergences');
    }
    const { runId, round } = await compared(client);

    const plans: { sql: string; plan: Plan }[] = [];
    const db = explaining(client, plans);
    const event = { cid: 'ab'.repeat(32), type: 'ADDED' as const, timestamp: new Date().toISOString() };
    await judgeHeld(db, runId, round);
    await judgeRound(db, runId, round, [event]);
    await keepPlans(db, runId, round);
    await freezeRound(db, { runId, round });
    await pendingDivergences(db, runId, round, 200);
    await readDivergenceReport(db, runId);
    for await (const page of divergencesCsv(db, runId)) expect(page).toBeTruthy();

    expect(plans.length).toBeGreaterThan(7);
    for (const { sql, plan } of plans) expect(repeated(plan), sql).toEqual([]);
  } finally {
    client.release();
  }
});
