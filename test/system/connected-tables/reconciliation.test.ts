import { describe, expect, test, vi } from 'vitest';
import { computeCid } from '../../../src/dict/entry/cid.ts';
import { KEY_TYPES } from '../../../src/dict/entry/key-type.ts';
import { damage } from '../../../src/simulator/index.ts';
import {
  childrenOf,
  dictBase,
  divergences,
  expectBaseLikeDict,
  reconciliation,
} from '../../support/inspect.ts';
import { startSystem, type System, type SystemOptions } from '../../support/system.ts';
import {
  bankRows,
  connect,
  expectFed,
  incomplete,
  ISPB,
  type Mapping,
  oneTable,
  rejects,
  threeTables,
} from './support.ts';

interface BankRow {
  key: string;
  opening_date: Date | null;
  [column: string]: unknown;
}

/** The bank's own tables must have DICT's entries, field by field. */
async function expectBankLikeDict(system: System, mapping: Mapping): Promise<void> {
  const rows = (await bankRows(system.pool, mapping)) as BankRow[];
  const dict = dictBase(system);
  expect(rows.map(({ key }) => key).sort()).toEqual([...dict.keys()].sort());
  for (const row of rows) {
    const entry = dict.get(row.key)!;
    expect(row).toEqual({
      participant: entry.participant,
      key_type: entry.keyType,
      key: entry.key,
      request_id: entry.requestId,
      owner_type: entry.ownerType,
      tax_id_number: entry.taxIdNumber,
      name: entry.name,
      trade_name: entry.tradeName,
      branch: entry.branch,
      account_number: entry.accountNumber,
      account_type: entry.accountType,
      opening_date: entry.openingDate === null ? null : new Date(entry.openingDate),
    });
  }
}

/** A system whose base is the bank's tables, with N keys of each type that differ from DICT. */
async function connected(mapping: Mapping, options: SystemOptions = {}): Promise<System> {
  const { divergent = 0, ...others } = options;
  const system = await startSystem({ ...others, local: () => [] });
  const { local } = damage(system.entries, { perType: divergent, seed: 5 });
  await connect(system.pool, mapping, local);
  return { ...system, local };
}

describe.each([
  ['one table', oneTable],
  ['three tables', threeTables],
])('%s', (_, mapping) => {
  test('a key registered at DICT by a person gets its new RequestId in the bank tables too', async () => {
    const system = await connected(mapping, { settings: { MANUAL_APPROVAL_THRESHOLD: '0' } });
    const { key, requestId } = system.entries[0]!;
    system.dict.directory.deleteEntry(system.entries[0]!);
    const run = await system.reconcile();
    await system.waitForRun(run, ({ status }) => status === 'WAITING');
    await system.pool.query(`select dict.register_local_only($1, null, 'ana', 'lost')`, [run]);
    await system.pool.query(`select dict.approve_reconciliation($1, 'ana', 'lost')`, [run]);
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
    expect(system.dict.directory.find(key)!.entry.requestId).not.toBe(requestId);
    await expectBankLikeDict(system, mapping);
    await expectBaseLikeDict(system);
  });

  test('after a reconciliation of missing, extra and changed keys the bank has what DICT has', async () => {
    const system = await connected(mapping, { keyTypes: KEY_TYPES, keysPerType: 60, divergent: 9 });
    const run = await system.verify();
    await system.waitForClosed(run);
    const children = await childrenOf(system.pool, run);
    expect(Object.keys(children).sort()).toEqual([...KEY_TYPES].sort());
    for (const keyType of KEY_TYPES) {
      const child = children[keyType]!;
      expect(await system.waitForClosed(child)).toMatchObject({ status: 'COMPLETED', errorCode: null });
      const { added, corrected, removed } = await reconciliation(system.pool, child);
      expect({ added, corrected, removed }).toEqual({ added: 3, corrected: 3, removed: 3 });
      for (const { decision, before, after, key } of await divergences(system.pool, child)) {
        if (decision !== 'REMOVED')
          expect(after).toMatchObject({ key, requestId: dictBase(system).get(key!)!.requestId });
        if (decision !== 'ADDED') expect(before).toMatchObject({ key });
      }
    }
    await expectBankLikeDict(system, mapping);
    await expectBaseLikeDict(system);
    await expectFed(system.pool, mapping, 300);
    expect(await rejects(system.pool)).toEqual([]);
    const left = await system.pool.query<{ left_why: string }>('select distinct left_why from dict.cid_log');
    expect(left.rows.map(({ left_why }) => left_why).sort()).toEqual(
      Object.values(children)
        .map((child) => `reconciliation ${child}`)
        .sort(),
    );
  });

  test('a key that the bank changes after the snapshot is left alone', async () => {
    const system = await connected(mapping, { divergent: 3, settings: { MANUAL_APPROVAL_THRESHOLD: '1' } });
    const run = await system.reconcile();
    await system.waitForRun(run, ({ state }) => state === 'wait_approval');
    const dict = dictBase(system);
    const cids = new Set((await divergences(system.pool, run)).map(({ cid }) => cid));
    const changed = system.local.find(
      (entry) => dict.has(entry.key) && cids.has(computeCid(entry).toString('hex')),
    )!.key;
    await system.pool.query(
      mapping === oneTable
        ? `update bank.pix_keys set account = '987654' where pix_key = '${changed}'`
        : `update core.accounts a set number = '987654' from core.keys k where k.account_id = a.id and pix_key = '${changed}'`,
    );
    await system.pool.query(`select dict.approve_reconciliation($1, 'a test', 'continue')`, [run]);
    const decided = async () =>
      (await divergences(system.pool, run)).filter(({ round, key }) => round === 1 && key === changed);
    await vi.waitFor(async () =>
      expect((await decided()).map(({ decision }) => decision)).toEqual(['IN_FLIGHT', 'IN_FLIGHT']),
    );
    const kept = (await bankRows(system.pool, mapping)) as BankRow[];
    expect(kept.find(({ key }) => key === changed)).toMatchObject({ account_number: '987654' });
  });
});

test('an unusable row makes the VSync incomplete, and is repaired when DICT has its key', async () => {
  const system = await connected(oneTable, { keyTypes: ['CPF', 'EVP'] });
  const [spoilt] = system.entries.filter(({ keyType }) => keyType === 'EVP');
  await system.pool.query('update bank.pix_keys set request_id = null where pix_key = $1', [spoilt!.key]);
  expect(await rejects(system.pool)).toEqual([`${ISPB} EVP ${spoilt!.key} REQUEST_ID_MISSING`]);
  expect(await incomplete(system.pool)).toEqual(['EVP']);

  const run = await system.verify(['CPF', 'EVP']);
  await system.waitForClosed(run);
  const { rows } = await system.pool.query<{
    results: Record<string, { result: string; incomplete?: true }>;
  }>('select results from dict.verifications where run_id = $1', [run]);
  expect(rows[0]!.results['CPF']).not.toHaveProperty('incomplete');
  expect(rows[0]!.results['EVP']).toMatchObject({ result: 'NOK', incomplete: true });
  const summary = await system.pool.query<{ payload: { keyTypes: unknown } }>(
    `select payload from dict.outbox where type = 'verification.summary'`,
  );
  expect(summary.rows[0]!.payload.keyTypes).toMatchObject(rows[0]!.results);

  const { EVP } = await childrenOf(system.pool, run);
  expect(await system.waitForClosed(EVP!)).toMatchObject({ status: 'COMPLETED' });
  await expectBankLikeDict(system, oneTable);
  expect(await rejects(system.pool)).toEqual([]);
  expect(await incomplete(system.pool)).toEqual([]);
});

const applyInstead = (body: string) =>
  `create or replace function bank.apply_dict(action text, entry jsonb, before jsonb) returns void
   language plpgsql as $$ begin ${body} end $$`;

test.each([
  [
    'writes something else',
    `update bank.pix_keys set full_name = 'Outro' where pix_key = entry ->> 'key'`,
    'DV_SOURCE_DISAGREES',
  ],
  ['writes nothing', 'null', 'DV_SOURCE_DISAGREES'],
  ['raises an error', `perform 1 / 0`, 'DV_SOURCE_FAILED'],
])(
  'an apply function that %s: the run fails with the reason, and nothing is repaired',
  async (_, body, code) => {
    const system = await connected(oneTable, { divergent: 6 });
    await system.pool.query(applyInstead(`${body};`));
    const before = await bankRows(system.pool, oneTable);
    const run = await system.reconcile();
    await system.waitForClosed(run);
    const failed = await system.pool.query<{ code: string }>(
      `select error ->> 'code' as code from workflow.history where run_id = $1 and error is not null`,
      [run],
    );
    expect(failed.rows.map((row) => row.code)).toEqual([code]);
    expect(await reconciliation(system.pool, run)).toMatchObject({
      added: 0,
      corrected: 0,
      removed: 0,
      ended: true,
    });
    expect(await bankRows(system.pool, oneTable)).toEqual(before);
    await expectFed(system.pool, oneTable, before.length);
  },
);

test('once disconnected, repairs are written to the key base, and the tables are left alone', async () => {
  const system = await connected(oneTable, { divergent: 6 });
  const before = await bankRows(system.pool, oneTable);
  await system.pool.query(`select dict.disconnect_source('core')`);
  await system.pool.query('delete from bank.pix_keys where pix_key = $1', [(before[0] as BankRow).key]);
  const run = await system.reconcile();
  expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
  await expectBaseLikeDict(system);
  expect(await bankRows(system.pool, oneTable)).toEqual(before.slice(1));
});

test.each([
  ['one table', oneTable],
  ['three tables', threeTables],
])('an undo puts the bank’s tables back: %s', async (_, mapping) => {
  const system = await connected(mapping, { divergent: 9 });
  const before = await bankRows(system.pool, mapping);
  const run = await system.reconcile();
  expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
  expect(await bankRows(system.pool, mapping)).not.toEqual(before);
  const { rows } = await system.pool.query<{ id: string }>(
    `select dict.start_undo($1, 'a test', 'see what happens') as id`,
    [run],
  );
  expect(await system.waitForClosed(rows[0]!.id)).toMatchObject({ status: 'COMPLETED' });
  expect(await bankRows(system.pool, mapping)).toEqual(before);
  await expectFed(system.pool, mapping, before.length);
});
