import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Pool } from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import { stopEmbeddedPostgres } from '../../../src/database/embedded/embedded-postgres.ts';
import { migrate } from '../../../src/database/migrate/migrate.ts';
import { createPool } from '../../../src/database/pool.ts';
import { importEntries } from '../../../src/dict/key-base/import.ts';
import type { KeyType } from '../../../src/dict/entry/key-type.ts';
import { damage, generateKeyBase, type SimulatedDict, startSimulator } from '../../../src/simulator/index.ts';
import { expectInvariants } from '../chaos/invariants.ts';
import { expectSound, ownServer, standbyOf, startWorkerProcess } from '../outage/support.ts';
import { dictBase, divergences, localBase } from '../../support/inspect.ts';
import { dumpInto, NO_PG_DUMP, startCluster } from '../../support/system-postgres.ts';
import { ISPB } from '../../support/key-base.ts';

const KEY_TYPES: KeyType[] = ['CPF', 'EMAIL'];

/** A working installation, whose database is then lost and restored. */
interface Installation {
  dict: SimulatedDict;
  env: Record<string, string>;
  /** A run that waits for a person. */
  asks: string;
  /** A run that waits for DICT's file, by a timer. */
  polls: string;
}

/**
 * Works until runs are open, one waiting for approval and one with a timer, then stops. The backup is of that moment.
 */
async function workOn(url: string): Promise<Installation> {
  await migrate(url);
  const pool = createPool(url);
  const temp = await mkdtemp(join(tmpdir(), 'dict-vsync-restored-'));
  onTestFinished(async () => rm(temp, { recursive: true, force: true }));
  const simulator = await startSimulator({ fileGenerationMs: 0, limits: 'off' });
  onTestFinished(async () => simulator.stop());
  const { dict } = simulator;
  const entries = [...generateKeyBase({ participant: ISPB, keyTypes: KEY_TYPES, keysPerType: 60, seed: 1 })];
  dict.directory.seed(entries);
  await importEntries(pool, damage(entries, { perType: 6, seed: 1 }).local);
  const env = {
    PARTICIPANT_ISPB: ISPB,
    BRIDGE_ADDRESS: simulator.address,
    TEMP_DIR: temp,
    MANUAL_APPROVAL_THRESHOLD: '3',
    IN_FLIGHT_MARGIN_SECONDS: '0',
    NOK_RECHECK_SECONDS: '0.02',
    FILE_POLL_SECONDS: '1',
  };
  const worker = await startWorkerProcess({ ...env, DATABASE_URL: url });
  await pool.query('delete from dict.rate_limits');
  const start = async (keyType: string) => {
    const { rows } = await pool.query<{ id: string }>('select dict.start_reconciliation($1, $2) as id', [
      ISPB,
      [keyType],
    ]);
    return rows[0]!.id;
  };
  const asks = await start('CPF');
  await untilState(pool, asks, 'wait_approval');
  dict.faults.on({ kind: 'file_slow', delayMs: 2500 });
  const polls = await start('EMAIL');
  await untilState(pool, polls, 'poll_file');
  expect(await worker.stop()).toBe(0);
  // Written, and not published yet.
  await pool.query(`select dict.publish($1, 'CPF', 'sync.deadline_missed', '{"published": "late"}', null)`, [
    ISPB,
  ]);
  await pool.end();
  return { dict, env, asks, polls };
}

async function untilState(pool: Pool, run: string, state: string): Promise<void> {
  const look = async () => {
    const { rows } = await pool.query<{ state: string; idle: boolean }>(
      'select state, claimed_by is null as idle from workflow.runs where id = $1',
      [run],
    );
    return rows[0];
  };
  await expect.poll(look, { timeout: 20_000, interval: 20 }).toEqual({ state, idle: true });
}

/**
 * A worker continues with the restored database, customers change keys, a person approves: all ends as if nothing had
 * happened.
 */
async function goesOn({ dict, env, asks, polls }: Installation, url: string): Promise<void> {
  const pool = createPool(url);
  onTestFinished(async () => pool.end());
  // Changed on both sides since the restore, one of them as a load does.
  const local = await localBase(pool);
  const differing = [...dictBase({ dict })].filter(
    ([key, { cid, keyType }]) => keyType === 'CPF' && local.has(key) && local.get(key)?.cid !== cid,
  );
  const [changed, loaded] = differing.map(([key]) => key);
  for (const key of [changed!, loaded!]) {
    dict.directory.updateEntry({ participant: ISPB, key }, { name: 'Zuleica Quintanilha' });
  }
  const entryOf = (key: string) => dict.directory.find(key)!.entry;
  await importEntries(pool, [entryOf(loaded!)]);
  const { requestId, name, taxIdNumber, tradeName, branch, accountNumber, accountType } = entryOf(changed!);
  await pool.query(
    `update dict.entries set request_id = $2, name = $3, tax_id_number = $4, trade_name = $5, branch = $6,
       account_number = $7, account_type = $8, owner_type = $9, opening_date = $10 where key = $1`,
    [
      ...[changed, requestId, name, taxIdNumber, tradeName, branch, accountNumber, accountType],
      ...[entryOf(changed!).ownerType, entryOf(changed!).openingDate],
    ],
  );

  const worker = await startWorkerProcess({ ...env, DATABASE_URL: url });
  try {
    for (const run of [asks, polls]) {
      await untilState(pool, run, 'wait_approval');
      await pool.query(`select dict.approve_reconciliation($1, 'ana', 'as before')`, [run]);
    }
    await expectSound(pool, [asks, polls]);
    expect(await localBase(pool)).toEqual(dictBase({ dict }));
    for (const keyType of KEY_TYPES) {
      const { rows } = await pool.query(
        'select repaired_buckets as repaired from dict.recalculate_vsync($1, $2)',
        [ISPB, keyType],
      );
      expect(rows).toEqual([{ repaired: 0 }]);
    }
    // A later change is left alone; nothing older looks as if it had changed since.
    const inFlight = async (run: string) => {
      const left = (await divergences(pool, run)).filter(({ decision }) => decision === 'IN_FLIGHT');
      return new Set(left.map(({ key }) => key));
    };
    expect(await inFlight(asks)).toEqual(new Set([changed, loaded]));
    expect(await inFlight(polls)).toEqual(new Set());
    await expectInvariants(pool, dict, ISPB);
    const { rows: late } = await pool.query(
      `select count(*)::integer as published from dict.notifications where payload -> 'data' ->> 'published' = 'late'`,
    );
    expect(late).toEqual([{ published: 1 }]);
  } finally {
    expect(await worker.stop()).toBe(0);
  }
}

test('a copy of the stopped server continues its runs', { timeout: 60_000 }, async () => {
  const server = await ownServer();
  onTestFinished(server.drop);
  const installation = await workOn(server.url);
  await stopEmbeddedPostgres(server.directory);
  const copy = await standbyOf(server);
  onTestFinished(copy.drop);
  await goesOn(installation, copy.url);
});

describe.skipIf(NO_PG_DUMP !== undefined)(`pg_dump (${NO_PG_DUMP ?? 'here'})`, () => {
  test.each([
    ['whose transaction ids are lower', 50_000, 0],
    ['whose transaction ids are higher', 0, 50_000],
  ])(
    'a dump restored into a cluster %s continues its runs',
    { timeout: 60_000 },
    async (_what, before, after) => {
      const source = await startCluster();
      const target = await startCluster();
      onTestFinished(target.stop);
      source.useTransactionIds(before);
      target.useTransactionIds(after);
      const installation = await workOn(source.url);
      await dumpInto(source.url, target.url);
      await source.stop();
      await goesOn(installation, target.url);
    },
  );
});
