import { expect, it } from 'vitest';
import type { Entry } from '../../../src/dict/entry/entry.ts';
import { generateKeyBase } from '../../../src/simulator/index.ts';
import { divergences, expectBaseLikeDict, localBase } from '../../support/inspect.ts';
import { ISPB, startSystem, type System } from '../../support/system.ts';

const OTHER = '00000002';
const KEYS = 1000;
const generated = (participant: string, count: number, seed: number): Entry[] => [
  ...generateKeyBase({ participant, keyTypes: ['PHONE'], keysPerType: count, seed }),
];

/** Changes a key as the institution's own system does once DICT has answered. */
async function register({ pool, dict }: System, entries: readonly Entry[]): Promise<void> {
  for (const entry of entries) dict.directory.createEntry(entry);
  await write(pool, entries);
}

async function write(pool: System['pool'], entries: readonly Entry[]): Promise<void> {
  await pool.query(
    `insert into dict.entries (participant, key_type, key, request_id, owner_type, tax_id_number, name, trade_name, branch,
       account_number, account_type, opening_date)
     select participant, "keyType", key, "requestId", "ownerType", "taxIdNumber", name, "tradeName", branch, "accountNumber",
       "accountType", "openingDate"
     from jsonb_to_recordset($1::jsonb) as x (participant text, "keyType" text, key text, "requestId" uuid,
       "ownerType" text, "taxIdNumber" text, name text, "tradeName" text, branch text, "accountNumber" text,
       "accountType" text, "openingDate" timestamptz)
     on conflict do nothing`,
    [JSON.stringify(entries)],
  );
}

// Manual Operacional do DICT, homologation: 1,000 keys of one type are registered, BACEN makes changes and insertions
// by itself, and OK is reached within the hour, while claims arrive.
it('the homologation test: 1,000 keys, DICT changing on its own, claims arriving, OK reached', async () => {
  const system = await startSystem({
    keyTypes: ['PHONE'],
    keysPerType: 0,
    // BACEN's own speed, except for the file.
    simulator: { limits: 'real', fileGenerationMs: 200 },
    settings: {
      MANUAL_APPROVAL_THRESHOLD: '100',
      // BACEN changes 6 % of the keys; the test must not wait for a person.
      APPROVAL_BASE_PERCENT: '100',
      IN_FLIGHT_MARGIN_SECONDS: '1.5',
    },
  });
  const { pool, dict } = system;
  const base = generated(ISPB, KEYS, 1);
  const theirs = generated(OTHER, 20, 2);
  for (const entry of theirs) dict.directory.createEntry(entry);
  for (let at = 0; at < KEYS; at += 100) await register(system, base.slice(at, at + 100));
  expect(dict.directory.set(ISPB, 'PHONE').size).toBe(KEYS);
  const first = await system.verify();
  expect(await system.waitForClosed(first)).toMatchObject({ status: 'COMPLETED' });

  // BACEN changes and inserts by itself; nobody informs the institution.
  for (const { key } of base.slice(0, 30)) {
    dict.directory.updateEntry({ participant: ISPB, key }, { accountNumber: '00004711' });
  }
  for (const entry of generated(ISPB, 20, 3)) dict.directory.createEntry(entry);
  for (const { key } of base.slice(30, 40)) dict.directory.deleteEntry({ participant: ISPB, key });

  // Claims arrive throughout: the institution gives up some keys and gains others.
  const followed: Promise<unknown>[] = [];
  let claims = 0;
  const claim = () => {
    const given = base[500 + claims]!;
    const got = theirs[claims]!;
    claims += 1;
    dict.directory.confirmClaim({ donor: ISPB, claimer: OTHER, key: given.key });
    followed.push(pool.query('update dict.entries set removed_at = now() where key = $1', [given.key]));
    dict.directory.completeClaim({ ...given, participant: OTHER, requestId: crypto.randomUUID() });
    dict.directory.confirmClaim({ donor: OTHER, claimer: ISPB, key: got.key });
    const mine = { ...got, participant: ISPB, requestId: crypto.randomUUID() };
    dict.directory.completeClaim(mine);
    followed.push(write(pool, [mine]));
  };
  const arriving = setInterval(() => (claims < 20 ? claim() : clearInterval(arriving)), 100);
  const began = performance.now();
  let run: string;
  try {
    const verification = await system.verify();
    expect(await system.waitForClosed(verification)).toMatchObject({ status: 'COMPLETED' });
    const { rows } = await pool.query<{ id: string }>('select id from workflow.runs where parent_id = $1', [
      verification,
    ]);
    run = rows[0]!.id;
    expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED', errorCode: null });
    await expect.poll(() => claims, { timeout: 5000 }).toBe(20);
  } finally {
    clearInterval(arriving);
  }
  await Promise.all(followed);
  // BACEN gives an hour.
  expect((performance.now() - began) / 1000).toBeLessThan(3600);

  // What came after the last OK is proved by the next verification.
  const last = await system.verify();
  expect(await system.waitForClosed(last)).toMatchObject({ status: 'COMPLETED' });
  const { rows } = await pool.query(
    `select last_result, open_reconciliation from dict.sync_status where participant = $1 and key_type = 'PHONE'`,
    [ISPB],
  );
  expect(rows).toEqual([{ last_result: 'OK', open_reconciliation: null }]);
  await expectBaseLikeDict(system);

  // Exactly what BACEN did by itself was repaired; no claim was.
  const done = (await divergences(pool, run)).filter(({ decision }) =>
    ['ADDED', 'CORRECTED', 'REMOVED'].includes(decision),
  );
  const count = (of: string) => done.filter(({ decision }) => decision === of).length;
  expect([count('ADDED'), count('CORRECTED'), count('REMOVED')]).toEqual([20, 60, 10]);
  expect((await localBase(pool)).size).toBe(KEYS + 20 - 10);
  expect(dict.ledger.calls().filter(({ status }) => status === 429)).toEqual([]);
});
