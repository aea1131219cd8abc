import type { Pool } from 'pg';
import type { CommonOptions } from '../command-options.ts';
import { one } from '../../errors/rows.ts';
import { KEY_TYPES, type KeyType } from '../../dict/entry/key-type.ts';
import type { CloudEvent } from '../../notify/index.ts';
import type { SimulatedDict } from '../../simulator/index.ts';
import type { ChurnReport } from './churn.ts';
import { table } from '../output/format.ts';
import { formatEvent } from '../output/format-event.ts';

export interface DemoOptions extends CommonOptions {
  keys: number;
  divergent: number;
  seed: number;
  database?: string;
  approve: boolean;
  churn?: boolean;
  nightFromHell?: boolean;
  pulsar?: boolean | string;
}

/** The participant of the demo. */
export const DEMO_PARTICIPANT = '12345678';

/** Result of a demo: its --json document. */
export interface DemoReport {
  inSync: boolean;
  keyTypes: {
    keyType: KeyType;
    /** Keys in the local base now. */
    keys: number;
    /** DICT's answer to the first VSync. */
    before: string | null;
    /**
     * Divergent keys that the comparison found: only in DICT, only in the local base, in both with different content.
     */
    dictOnly: number;
    localOnly: number;
    changed: number;
    /** Keys repaired. */
    applied: number;
    /** DICT's answer to the last VSync. */
    after: string | null;
  }[];
  runs: { id: string; machine: string; keyType: string | null; status: string }[];
  /** Messages delivered to Core-Dict. */
  notifications: number;
  seconds: number;
  /** With --churn. */
  churn?: ChurnReport | undefined;
  /** With --pulsar: the messages that Core-Dict received, in order. */
  coreDict?: CloudEvent[] | undefined;
}

/** Reads from the database what the demo did. For CIDs that were not looked up, the key comes from the simulator. */
export async function demoReport(
  pool: Pool,
  dict: SimulatedDict,
  {
    seconds,
    churn,
    received,
  }: { seconds: number; churn?: ChurnReport | undefined; received?: CloudEvent[] | undefined },
): Promise<DemoReport> {
  const keyTypes = [];
  for (const keyType of KEY_TYPES) {
    const { rows } = await pool.query<{ keys: number; before: string | null; after: string | null }>(
      `select (dict.vsync($1, $2)).entries::integer as keys,
         (select result from dict.sync_verifications where participant = $1 and key_type = $2 order by asked_at limit 1) as before,
         (select result from dict.sync_verifications where participant = $1 and key_type = $2 order by asked_at desc limit 1) as after`,
      [DEMO_PARTICIPANT, keyType],
    );
    const found = await foundKeys(pool, dict, keyType);
    const { keys, before, after } = one(rows);
    keyTypes.push({ keyType, keys, before, ...found, after });
  }
  const runs = await pool.query<DemoReport['runs'][number]>(
    `select id, machine, input ->> 'keyType' as "keyType", status from workflow.runs
     where machine <> 'verification_schedule' order by id`,
  );
  return {
    inSync: keyTypes.every(({ after }) => after === 'OK'),
    keyTypes,
    runs: runs.rows,
    notifications: await deliveredMessages(pool),
    seconds: Math.round(seconds * 10) / 10,
    churn,
    coreDict: received,
  };
}

/** The number of delivered messages to Core-Dict, by any transport. */
export async function deliveredMessages(pool: Pool): Promise<number> {
  const { rows } = await pool.query<{ n: number }>(
    'select count(*)::integer as n from dict.outbox where delivered_at is not null',
  );
  return one(rows).n;
}

async function foundKeys(
  pool: Pool,
  dict: SimulatedDict,
  keyType: KeyType,
): Promise<{ dictOnly: number; localOnly: number; changed: number; applied: number }> {
  const { rows } = await pool.query<{ side: string; cid: string; key: string | null; applied: boolean }>(
    `select d.side, encode(d.cid, 'hex') as cid, coalesce(d.key, (select c.key from dict.cids c where c.cid = d.cid limit 1)) as key,
       d.decision in ('ADDED', 'CORRECTED', 'REMOVED') as applied
     from dict.divergences d join dict.reconciliations r using (run_id)
     where r.participant = $1 and r.key_type = $2`,
    [DEMO_PARTICIPANT, keyType],
  );
  const keysOf = (side: string) =>
    new Set(
      rows
        .filter((row) => row.side === side)
        .map(({ key, cid }) => key ?? dict.directory.findCid(DEMO_PARTICIPANT, cid)?.entry.key ?? cid),
    );
  const inDict = keysOf('DICT_ONLY');
  const local = keysOf('LOCAL_ONLY');
  const changed = inDict.intersection(local).size;
  return {
    dictOnly: inDict.size - changed,
    localOnly: local.size - changed,
    changed,
    applied: new Set(rows.filter(({ applied }) => applied).map(({ key }) => key)).size,
  };
}

/** The report for a person. */
export function showReport(report: DemoReport): string {
  const header = ['key type', 'keys', 'before', 'in DICT only', 'local only', 'changed', 'repaired', 'after'];
  const lines = report.keyTypes.map((t) =>
    [t.keyType, t.keys, t.before ?? '-', t.dictOnly, t.localOnly, t.changed, t.applied, t.after ?? '-'].map(
      String,
    ),
  );
  const waiting = report.runs.filter(({ status }) => status === 'WAITING');
  return [
    '',
    table(header, lines),
    '',
    report.inSync
      ? `All five key types are in sync with DICT after ${report.seconds} s. ${report.notifications} messages were delivered to Core-Dict.`
      : `Not in sync after ${report.seconds} s.`,
    ...(report.churn
      ? [
          `Meanwhile customers changed keys ${report.churn.operations} times. Repairs reverted ${report.churn.reverted} of these changes.`,
        ]
      : []),
    ...(report.coreDict
      ? ['', 'Core-Dict received from Pulsar:', ...report.coreDict.map((event) => `  ${formatEvent(event)}`)]
      : []),
    ...waiting.map(
      ({ id, keyType }) =>
        `Run ${id} (${keyType}) waits for approval: dict-vsync approve ${id} --by NAME --reason TEXT`,
    ),
  ].join('\n');
}
