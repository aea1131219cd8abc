import { expect, test } from 'vitest';
import type { Entry } from '../../../src/dict/entry/entry.ts';
import { type DivergenceReport, readDivergenceReport } from '../../../src/dict/log/divergence-report.ts';
import { notifications } from '../../support/inspect.ts';
import { startSystem, type System } from '../../support/system.ts';
import { cli } from '../../unit/cli/support.ts';

const OTHER_OWNER = '11122233300';

async function waiting(local: (entries: Entry[]) => Entry[], settings: Record<string, string> = {}) {
  const system = await startSystem({
    keysPerType: 40,
    local,
    settings: { MANUAL_APPROVAL_THRESHOLD: '0', ...settings },
  });
  const run = await system.reconcile();
  await system.waitForRun(run, ({ status }) => status === 'WAITING');
  return { system, run };
}

const text = async ({ url }: System, ...args: string[]) =>
  (await cli(args, { env: { DATABASE_URL: url } })).stdout;

/** Lets days pass, and ends the first run of `days` ago as if it had repaired something then. */
async function earlier(
  { pool, participant }: System,
  before: string,
  row: { result: string | null; counts?: number[] },
): Promise<void> {
  const { result, counts } = row;
  if (counts !== undefined) {
    await pool.query(
      `insert into dict.reconciliations (run_id, participant, key_type, started_at, vsync_before, entries_before,
         dict_only_cids, local_only_cids, keys_added, keys_corrected, keys_removed, keys_registered)
       select gen_random_uuid(), $1, 'CPF', workflow.now() - $2::interval, '', 0, n[1], n[2], n[3], n[4], n[5], n[6]
       from (select $3::bigint[] as n) c`,
      [participant, before, counts],
    );
  }
  if (result !== null) {
    await pool.query(
      `insert into dict.sync_verifications (run_id, purpose, participant, key_type, vsync, entries, asked_at, answered_at, result)
       values (gen_random_uuid(), 'VERIFICATION', $1, 'CPF', '', 0, workflow.now() - $2::interval,
         workflow.now() - $2::interval, $3)`,
      [participant, before, result],
    );
  }
}

test('what differs is named for each corrected key, a changed owner first, and nothing of it leaves with the notification', async () => {
  const { system, run } = await waiting((entries) =>
    entries.map((entry, at) => {
      if (at === 0) return { ...entry, accountNumber: '00777001', accountType: 'SVGS' };
      if (at === 1) return { ...entry, branch: '7777', name: 'Zuleica Quintanilha' };
      if (at === 2) return { ...entry, taxIdNumber: OTHER_OWNER };
      if (at === 3) return { ...entry, requestId: crypto.randomUUID() };
      return entry;
    }),
  );
  const report = await readDivergenceReport(system.pool, run);
  expect(report.changedFields).toEqual({ owner: 1, name: 1, branch: 1, account: 1, registration: 1 });
  const keys = system.entries.map(({ key }) => key);
  const differs = Object.fromEntries(report.corrections.map((each) => [each.key, each.differs]));
  expect(differs).toEqual({
    [keys[0]!]: ['account'],
    [keys[1]!]: ['name', 'branch'],
    [keys[2]!]: ['owner'],
    [keys[3]!]: ['registration'],
  });
  expect(report.corrections[0]).toMatchObject({
    key: keys[2],
    before: { taxIdNumber: OTHER_OWNER },
    after: { taxIdNumber: system.entries[2]!.taxIdNumber },
  });
  expect(report.approvalReasons).toContain('OWNER');
  const described = await text(system, 'describe', run);
  expect(described).toMatch(
    /^corrections differ in +owner \(1\), name \(1\), branch \(1\), account \(1\), registration \(1\)$/m,
  );
  expect(described).toContain('a correction changes the owner of a key');
  const asked = (await notifications(system.pool)).find(
    ({ payload }) => payload['event'] === 'APPROVAL_NEEDED',
  );
  const sent = JSON.stringify(asked);
  for (const secret of [...keys.slice(0, 4), OTHER_OWNER, 'Zuleica Quintanilha', '00777001']) {
    expect(described).not.toContain(secret);
    expect(sent).not.toContain(secret);
  }
  expect(asked!.payload['divergences']).toMatchObject({
    changedFields: report.changedFields,
    leadsTo: report.leadsTo,
  });
});

test('what is left as it is has its reason, and the sentence about approving counts it', async () => {
  const system = await startSystem({
    keysPerType: 40,
    settings: { MANUAL_APPROVAL_THRESHOLD: '0' },
    local: (entries) => entries.slice(3),
  });
  const { cid } = [...system.dict.directory.set(system.participant, 'CPF').entries()].find(
    ({ entry }) => entry.key === system.entries[0]!.key,
  )!;
  system.dict.faults.on({ kind: 'problem', operation: 'getEntryByCid', status: 403, cid });
  const run = await system.reconcile();
  await system.waitForRun(run, ({ status }) => status === 'WAITING');
  const { planned, left, leadsTo, share } = await readDivergenceReport(system.pool, run);
  expect(planned).toEqual({ add: 2, correct: 0, remove: 0, register: 0, leave: 1, unasked: 0 });
  expect(share).toEqual({ keys: 2, base: 40, percent: 5 });
  expect(left).toEqual([{ cids: 1, why: expect.stringMatching(/\w+/) as string }]);
  expect(leadsTo!.approve).toMatch(/^The local base is repaired: 2 keys added, .* 1 CID left alone\. /);
  expect(await text(system, 'report', run)).toContain(left[0]!.why);
});

test('a set that is too large to ask about before says what is not known', async () => {
  const { system, run } = await waiting((entries) => entries.slice(5), { APPROVAL_LOOKUPS_MAX: '3' });
  const report = await readDivergenceReport(system.pool, run);
  expect(report.planned).toMatchObject({ add: 0, unasked: 5 });
  expect(report.share).toEqual({ keys: 5, base: 40, percent: 12.5 });
  expect(report.approvalReasons).toContain('UNSEEN');
  expect(report.leadsTo!.approve).toMatch(
    /^DICT is asked about 5 CIDs, and their keys are added, corrected or removed by its answers\. /,
  );
  const described = await text(system, 'describe', run);
  expect(described).toMatch(/^share of the base +12\.5 % \(up to 5 of 40 keys\)$/m);
  expect(described).toMatch(/^planned repair +soft-delete up to 0, correct 0, fetch 5 from DICT /m);
});

test('the ten days before are those before the run began, with what was found and done', async () => {
  const system = await startSystem({
    keysPerType: 40,
    settings: { MANUAL_APPROVAL_THRESHOLD: '0' },
    local: (entries) => entries.slice(1),
  });
  await earlier(system, '0 days', { result: 'NOK', counts: [90, 90, 90, 90, 90, 90] });
  await earlier(system, '1 day', { result: 'NOK', counts: [3, 2, 1, 2, 3, 4] });
  await earlier(system, '1 day', { result: null, counts: [1, 0, 1, 0, 0, 0] });
  await earlier(system, '2 days', { result: 'OK' });
  await earlier(system, '10 days', { result: 'ERROR', counts: [7, 0, 7, 0, 0, 0] });
  await earlier(system, '11 days', { result: 'NOK', counts: [80, 80, 80, 80, 80, 80] });
  const run = await system.reconcile();
  await system.waitForRun(run, ({ status }) => status === 'WAITING');
  const { nights } = await readDivergenceReport(system.pool, run);
  const nothing = { reconciliations: 0, cids: 0, added: 0, corrected: 0, removed: 0, registered: 0 };
  const { rows } = await system.pool.query<{ day: string }>(
    `select to_char((workflow.now() at time zone 'America/Sao_Paulo')::date - n, 'YYYY-MM-DD') as day
     from generate_series(10, 1, -1) n`,
  );
  const days = rows.map(({ day }) => day);
  expect(nights).toEqual([
    { ...nothing, day: days[0], verified: 'ERROR', reconciliations: 1, cids: 7, added: 7 },
    ...days.slice(1, 8).map((day) => ({ ...nothing, day, verified: null })),
    { ...nothing, day: days[8], verified: 'OK' },
    {
      day: days[9],
      verified: 'NOK',
      reconciliations: 2,
      cids: 6,
      added: 2,
      corrected: 2,
      removed: 3,
      registered: 4,
    },
  ]);
  expect(await text(system, 'report', run)).toMatch(new RegExp(`^${days[9]} +NOK +2 +6 +2 +2 +3 +4$`, 'm'));
});

test('the deadline and the age of the set follow the time', async () => {
  const { system, run } = await waiting((entries) => entries.slice(1));
  const read = async (): Promise<DivergenceReport> => readDivergenceReport(system.pool, run);
  const first = await read();
  await system.advance('20 hours');
  const second = await read();
  expect(second.ageSeconds - first.ageSeconds).toBeGreaterThanOrEqual(72_000);
  expect(second.snapshotAt).toEqual(first.snapshotAt);
  expect(second.deadline!.at).toEqual(first.deadline!.at);
  expect(first.deadline!.hoursLeft - second.deadline!.hoursLeft).toBeGreaterThanOrEqual(20);
  expect(second.leadsTo!.wait).toMatch(/ Without an OK by .*Z the regulator's deadline is missed\.$/);
  await system.advance('17 hours');
  const third = await read();
  expect(third.deadline!.hoursLeft).toBeLessThan(0);
  expect(third.leadsTo!.reject).toMatch(
    / The regulator's deadline was missed at .*Z, and stays missed until the next OK\.$/,
  );
  expect(await text(system, 'describe', run)).toMatch(
    /^deadline +missed since 20.*Z; there was never an OK$/m,
  );
});
