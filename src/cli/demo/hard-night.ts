import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from 'pg';
import { one } from '../../errors/rows.ts';
import { computeCid } from '../../dict/entry/cid.ts';
import type { Entry } from '../../dict/entry/entry.ts';
import { readRetries } from '../../dict/vsync/retries.ts';
import type { SimulatedDict } from '../../simulator/index.ts';
import { DEMO_PARTICIPANT } from './demo-report.ts';

/** Milliseconds that have been skipped, for DICT and for the workflows alike. */
export interface SkippedTime {
  ms: number;
}

/** What a hard night needs of the demo. */
export interface HardNight {
  pool: Pool;
  dict: SimulatedDict;
  skipped: SkippedTime;
  /** The key that DICT does not show. */
  blocked: Entry;
  say: (line: string) => void;
  /** Waits until no run is open any more (or all wait for a person); `hurry`: time is skipped meanwhile. */
  untilQuiet: (hurry?: () => Promise<void>) => Promise<void>;
}

/**
 * Changes the local base for a hard night: a phone key has another owner than at DICT. Returns the base, and a CPF key
 * that only DICT has, which DICT will not show; undefined if the bases are too small for that.
 */
export function prepareHardNight(
  entries: readonly Entry[],
  local: readonly Entry[],
): { local: Entry[]; blocked: Entry } | undefined {
  const here = new Set(local.map(({ key }) => key));
  const blocked = entries.find(({ keyType, key }) => keyType === 'CPF' && !here.has(key));
  const same = new Set(local);
  const owned = entries.find(
    (entry) => entry.keyType === 'PHONE' && entry.ownerType === 'NATURAL_PERSON' && same.has(entry),
  );
  if (blocked === undefined || owned === undefined) return undefined;
  return {
    blocked,
    local: local.map((entry) =>
      entry === owned ? { ...entry, taxIdNumber: '00000000191', name: 'Outra Pessoa' } : entry,
    ),
  };
}

/**
 * Plays the night: DICT is in maintenance at 03:00, shows one entry to nobody, and has another owner for one key. Ends
 * in the morning, with everything in sync.
 */
export async function playHardNight(night: HardNight): Promise<void> {
  const { pool, dict, blocked, say, untilQuiet } = night;
  const blockade = dict.faults.on({
    ...{ kind: 'problem', operation: 'getEntryByCid', cid: computeCid(blocked).toString('hex') },
    ...{ status: 400, type: 'EntryBlocked' },
  });
  say('DICT is in maintenance: it answers every call with 503');
  const maintenance = dict.faults.on({ kind: 'problem', status: 503, retryAfterSec: 1 });
  await pool.query('select dict.start_verification($1)', [DEMO_PARTICIPANT]);
  await untilQuiet(async () => skip(night, 10));

  const [retry] = await readRetries(pool);
  if (retry !== undefined) say(`nobody has to do anything, automatic retry ${retry.retry}: ${retry.reason}`);
  say('five minutes later the maintenance is over');
  maintenance.off();
  await skip(night, 300);
  while (!(await isRetried(pool))) await delay(50);
  await untilQuiet();

  const { rows } = await pool.query<{ quarantined: number; unsure: number; why: string | null }>(
    `select count(*) filter (where decision = 'QUARANTINED')::integer as quarantined,
       count(*) filter (where decision = 'UNSURE')::integer as unsure,
       max(why) filter (where decision = 'QUARANTINED') as why
     from dict.divergences d join dict.reconciliations n using (run_id) where d.round = n.rounds`,
  );
  const { quarantined, unsure, why } = one(rows);
  say(`everything is repaired except ${quarantined} CID: ${why}`);
  say(`${unsure} local CPF keys could be its other half: they are not removed, a person decides`);
  say('in the morning the court lifts the block, and a person starts the reconciliation again');
  blockade.off();
  await pool.query(`select dict.start_reconciliation($1, array['CPF'])`, [DEMO_PARTICIPANT]);
  await untilQuiet();
}

async function skip({ pool, skipped }: HardNight, seconds: number): Promise<void> {
  skipped.ms += seconds * 1000;
  await pool.query(`select workflow.advance_clock($1 * interval '1 second')`, [seconds]);
}

/** Whether the service has started the automatic retry. It looks for one every half second. */
async function isRetried(pool: Pool): Promise<boolean> {
  const { rows } = await pool.query<{ retried: boolean }>(
    `select exists (select from workflow.runs where started_by = 'retry') as retried`,
  );
  return one(rows).retried;
}
