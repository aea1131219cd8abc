import type { Pool } from 'pg';
import { expect } from 'vitest';
import { KEY_TYPES } from '../../../src/dict/entry/key-type.ts';
import type { SimulatedDict } from '../../../src/simulator/index.ts';

/** What must be true whatever broke, each as a query for its violations. */
const VIOLATIONS: Record<string, string> = {
  'every run is closed or has exactly one thing that will move it': `
    select r.id, r.machine, r.state, r.status, w.claimed, w.jobs, w.awaits
    from workflow.runs r
    join workflow.states s on (s.machine, s.version, s.state) = (r.machine, r.machine_version, r.state)
    cross join lateral (select
      (r.claimed_by is not null and workflow.is_alive(r.claimed_by))::integer as claimed,
      (select count(*)::integer from graphile_worker.jobs j
       where j.key = 'run:' || r.id and r.claimed_by is null and r.wake_at is not null and j.attempts < j.max_attempts) as jobs,
      (r.status = 'WAITING' and r.wake_at is null and (
        cardinality(s.signals) > 0
          and not exists (select from workflow.signals g where g.run_id = r.id and g.consumed_at is null and g.name = any (s.signals))
        or s.awaits_children and workflow.has_children_open(r)))::integer
        as awaits) w
    where r.closed_at is null and w.claimed + w.jobs + w.awaits <> 1`,
  'an attempt begins its step once': `
    select run_id, version from workflow.history where event = 'STARTED' group by 1, 2 having count(*) > 1`,
  'an attempt that began ends once': `
    select h.run_id, h.version, h.state, e.ends from workflow.history h
    join workflow.runs r on r.id = h.run_id
    cross join lateral (select count(*) as ends from workflow.history e
      where e.run_id = h.run_id and e.version = h.version and e.event in ('COMPLETED', 'FAILED', 'ABANDONED', 'RELEASED')) e
    where h.event = 'STARTED' and (e.ends > 1
      -- No end: it is in progress, or the run was closed under it.
      or e.ends = 0 and not (r.version = h.version and (r.claimed_by is not null or r.closed_at is not null)))`,
  'versions have no gaps': `
    select run_id from workflow.history where event = 'STARTED' group by run_id having max(version) <> count(*)`,
  'no run fails because of a break: it only takes longer': `
    select id, machine, state, status, error from workflow.runs where status in ('FAILED', 'POISONED', 'TERMINATED')`,
  'a workflow key has at most one open run': `
    select workflow_key from workflow.runs where closed_at is null group by 1 having count(*) > 1`,
  'a tick is decided once': `
    select schedule, tick from workflow.schedule_ticks group by 1, 2 having count(*) > 1`,
  'no signal is lost when a run continues as new': `
    select g.id from workflow.signals g join workflow.runs r on r.id = g.run_id
    where g.consumed_at is null and r.status = 'CONTINUED'`,
  'a continued run has one successor': `
    select r.id from workflow.runs r where r.status = 'CONTINUED'
      and (select count(*) from workflow.runs n where n.continued_from = r.id) <> 1`,
  'messages are delivered once, in order without gaps': `
    select o.participant, o.key_type, count(*), max(o.sequence), count(n.id)
    from dict.outbox o left join dict.notifications n using (id)
    group by 1, 2 having count(*) <> max(o.sequence) or count(n.id) <> count(*) or bool_or(o.delivered_at is null)`,
  'each repaired key is published once, and nothing else': `
    select run_id, key, published.n, done.n from (
      select (payload #>> '{data,runId}')::uuid as run_id, c ->> 'key' as key, count(*) as n
      from dict.notifications, jsonb_array_elements(payload -> 'data' -> 'changes') c
      where type = 'reconciliation.changes' group by 1, 2) published
    full join (
      select run_id, key, count(distinct round) as n from dict.divergences
      where decision in ('ADDED', 'CORRECTED', 'REMOVED') group by 1, 2) done using (run_id, key)
    where published.n is distinct from done.n`,
};

/** The names of the violated invariants, with the rows that violate them. */
export async function brokenInvariants(pool: Pool): Promise<Record<string, unknown[]>> {
  const broken: Record<string, unknown[]> = {};
  for (const [name, sql] of Object.entries(VIOLATIONS)) {
    const { rows } = await pool.query(sql);
    if (rows.length > 0) broken[name] = rows;
  }
  return broken;
}

/** Attempts of some tasks that did not end well: each may have made its call, and lost the answer. */
const LOST = `(select count(*)::integer from workflow.history h join workflow.runs r on r.id = h.run_id
  join workflow.states s on (s.machine, s.version, s.state) = (r.machine, r.machine_version, h.state)
  where h.event in ('FAILED', 'ABANDONED', 'RELEASED') and s.task = any ($1))`;

/** Expects every invariant once the system is quiet again. */
export async function expectInvariants(pool: Pool, dict: SimulatedDict, participant: string): Promise<void> {
  expect(await brokenInvariants(pool)).toEqual({});

  // DICT's own ledger: each call has its row, written before it, and a call is repeated only where an attempt was
  // interrupted.
  const countCalls = async (sql: string, tasks: string[]) =>
    (
      await pool.query<{ asked: number; ended: number; answered: number; lost: number }>(
        `select ${sql}, ${LOST} as lost`,
        [tasks],
      )
    ).rows[0]!;
  const verifications = await countCalls(
    `(select count(*)::integer from dict.sync_verifications) as asked,
     (select count(*)::integer from dict.sync_verifications where result is not null) as ended,
     (select count(*)::integer from dict.sync_verifications where result in ('OK', 'NOK')) as answered`,
    ['bridge_verify_vsync', 'bridge_confirm_vsync'],
  );
  const files = await countCalls(
    `(select count(*)::integer from dict.cid_files) as asked,
     (select count(*)::integer from dict.cid_files where dict_id is not null) as ended,
     (select count(*)::integer from dict.cid_files where dict_id is not null) as answered`,
    ['bridge_request_reconciliation'],
  );
  for (const [operation, book] of [
    ['createSyncVerification', verifications],
    ['createCidSetFile', files],
  ] as const) {
    const calls = dict.ledger.count(operation);
    const { asked, ended, answered, lost } = book;
    const consistent = answered <= calls && calls <= asked && asked - ended <= lost;
    expect({ operation, calls, ...book, consistent }).toMatchObject({ consistent: true });
  }

  for (const keyType of KEY_TYPES) {
    const kept = await pool.query<{ vsync: string; repaired: number }>(
      'select kept_vsync as vsync, repaired_buckets as repaired from dict.recalculate_vsync($1, $2)',
      [participant, keyType],
    );
    expect(kept.rows).toEqual([{ vsync: dict.directory.set(participant, keyType).vsync(), repaired: 0 }]);
  }
}
