import { parse } from 'csv-parse/sync';
import { expect, test } from 'vitest';
import type { DivergenceReport } from '../../../src/dict/log/divergence-report.ts';
import type { Entry } from '../../../src/dict/entry/entry.ts';
import { cli, expectRefusal } from '../../unit/cli/support.ts';
import { notifications } from '../../support/inspect.ts';
import { startSystem, type System } from '../../support/system.ts';

/** 30 keys differ, a third each missing, extra and changed: 40 CIDs. */
async function waiting(): Promise<{
  system: System;
  run: string;
  steer: (...args: string[]) => ReturnType<typeof cli>;
}> {
  const system = await startSystem({
    keysPerType: 120,
    divergent: 30,
    // The base was imported a moment ago: with a margin all of it would be in flight.
    settings: {
      MANUAL_APPROVAL_THRESHOLD: '10',
      IN_FLIGHT_MARGIN_SECONDS: '0',
      NOK_RECHECK_SECONDS: '0.05',
      FILE_POLL_SECONDS: '0.05',
    },
  });
  const run = await system.reconcile();
  await system.waitForRun(run, ({ status }) => status === 'WAITING');
  return { system, run, steer: (...args) => cli(args, { env: { DATABASE_URL: system.url } }) };
}

/** What must not leave the key base: keys, names, tax ids, accounts. */
function personal(entries: readonly Entry[]): string[] {
  return [
    ...new Set(
      entries.flatMap(({ key, name, tradeName, taxIdNumber, accountNumber }) => [
        key,
        name,
        tradeName ?? name,
        taxIdNumber,
        accountNumber,
      ]),
    ),
  ];
}

function expectNothingPersonal(text: string, { entries, local }: System): void {
  const values = personal([...entries, ...local]);
  expect(values.length).toBeGreaterThan(200);
  expect(
    values.filter((value) => text.includes(`"${value}"`) || (value.length > 9 && text.includes(value))),
  ).toEqual([]);
}

test('a reconciliation that waits for approval is described, reported and exported as CSV, also after the repair', async () => {
  const { system, run, steer } = await waiting();
  const described = await steer('describe', run, '--json');
  const { report, approve } = described.json<{ report: DivergenceReport; approve: string }>();
  expect(report).toMatchObject({
    runId: run,
    participant: system.participant,
    keyType: 'CPF',
    round: 1,
    foundBy: 'FILE',
    foundByReason: 'no VSync was confirmed yet',
    threshold: 10,
    foundInAllRounds: 40,
    kinds: { cids: 40, pending: 40, dictOnly: 10, unknownKeys: 0, localOnly: 10, changedKeys: 10 },
    plan: { remove: 10, correct: 10, fetch: 10, lookups: 30, seconds: 0 },
    approvalReasons: ['CIDS', 'SHARE'],
    planned: { add: 10, correct: 10, remove: 10, register: 0, leave: 0, unasked: 0 },
    // The base has 120 keys at DICT.
    share: { keys: 30, base: 120, percent: 25 },
    deadline: { lastOkAt: null },
    left: [],
  });
  const { owner, registration, branch, name, account } = report.changedFields;
  expect([owner, registration, branch, name + account]).toEqual([0, 0, 0, 10]);
  expect(report.corrections).toHaveLength(10);
  for (const { key, differs, before, after } of report.corrections) {
    const [ours, theirs] = [system.local, system.entries].map((all) =>
      all.find((entry) => entry.key === key)!,
    );
    const expected = [
      ...(ours!.name === theirs!.name ? [] : ['name']),
      ...(ours!.accountNumber === theirs!.accountNumber ? [] : ['account']),
    ];
    expect({ key, differs }).toEqual({ key, differs: expected });
    expect([before?.name, after?.name]).toEqual([ours!.name, theirs!.name]);
  }
  expect(report.deadline!.hoursLeft).toBeGreaterThan(35);
  expect(report.deadline!.hoursLeft).toBeLessThanOrEqual(36);
  expect(report.nights).toHaveLength(10);
  expect(approve).toBe(`dict-vsync approve ${run} --by NAME --reason TEXT --set ${report.setHash}`);
  expect(report.branches.reduce((sum, { cids }) => sum + cids, 0)).toBe(40);

  // The notification: the same numbers, and no personal data.
  const asked = (await notifications(system.pool)).find(
    ({ payload }) => payload['event'] === 'APPROVAL_NEEDED',
  );
  const { round, comparedAt, foundBy, foundByReason, setHash, foundInAllRounds, threshold, kinds, plan } =
    report;
  expect(asked!.payload).toMatchObject({
    setHash,
    divergences: {
      round,
      comparedAt,
      foundBy,
      foundByReason,
      setHash,
      foundInAllRounds,
      threshold,
      kinds,
      plan,
    },
  });
  const { divergences } = asked!.payload as Record<string, object>;
  expect(Object.keys(divergences!).toSorted()).toEqual(
    [
      ...[
        'round',
        'comparedAt',
        'foundBy',
        'foundByReason',
        'setHash',
        'foundInAllRounds',
        'threshold',
        'kinds',
      ],
      ...[
        'plan',
        'approvalReasons',
        'planned',
        'changedFields',
        'share',
        'snapshotAt',
        'ageSeconds',
        'deadline',
      ],
      ...['nights', 'leadsTo'],
    ].toSorted(),
  );
  const { planned, changedFields, share, nights, leadsTo, approvalReasons } = report;
  expect(divergences).toMatchObject({ planned, changedFields, share, nights, leadsTo, approvalReasons });
  expectNothingPersonal(JSON.stringify(asked), system);

  // In short: the numbers, the hash, the command; no key.
  const short = (await steer('describe', run)).stdout;
  for (const part of [
    /^found by +DICT's CID file: no VSync was confirmed yet$/m,
    /^divergent CIDs +40, 40 of them undecided$/m,
    /^age of the set +[\d.]+ s \(the state of 20.*Z\)$/m,
    /^in DICT only +10$/m,
    /^local only +10$/m,
    /^needs approval +more divergent CIDs than MANUAL_APPROVAL_THRESHOLD; more of the base than APPROVAL_BASE_PERCENT$/m,
    /^in all comparisons +40 CIDs; more than 10 need approval$/m,
    /^planned repair +add 10, correct 10, remove 10, register 0 at DICT; leave 0 CIDs$/m,
    /^corrections differ in +(name|account) \(\d+\)(, account \(\d+\))?$/m,
    /^share of the base +25 % \(30 of 120 keys\)$/m,
    /^deadline +35 h \d+ min left, until 20.*Z; there was never an OK$/m,
    /^approve +The local base is repaired: 10 keys added, 10 keys corrected, 10 keys removed\. DICT is asked /m,
    /^reject +Nothing is changed, and the run ends as REJECTED\. 40 CIDs stay different, .* is missed\.$/m,
    /^wait +Nothing is changed\. The run waits without a time limit, .* is missed\.$/m,
    /^\d{4}-\d\d-\d\d +not verified +0 +0 +0 +0 +0 +0$/m,
    new RegExp(`^frozen set +${setHash}$`, 'm'),
    approve,
  ]) {
    expect(short).toMatch(part);
  }
  expectNothingPersonal(short, system);

  // In full: with a sample.
  const whole = (await steer('report', run)).stdout;
  expect(whole).toContain(approve);
  const shownKeys = report.sample.flatMap(({ key }) => key ?? []);
  expect(shownKeys.length).toBeGreaterThan(5);
  for (const key of shownKeys) expect(whole).toContain(key);
  for (const { key, differs, cid } of report.corrections) {
    expect(whole).toMatch(new RegExp(`^${key} +${differs.join(', ')} +${cid}$`, 'm'));
  }
  // What depends on the time at which it is read is left out.
  const timeless = ({ ageSeconds: _age, deadline: _deadline, ...rest }: DivergenceReport) => rest;
  const again = (await steer('report', run, '--json')).json<{ report: DivergenceReport; approve: string }>();
  expect([timeless(again.report), again.approve]).toEqual([timeless(report), approve]);

  const csv = async () =>
    parse((await steer('report', run, '--csv')).stdout, { columns: true, bom: true }) as unknown as Record<
      string,
      string
    >[];
  const before = await csv();
  expect(before).toHaveLength(40);
  const local = new Map(system.local.map((entry) => [entry.key, entry]));
  const locals = before.filter(({ side }) => side === 'LOCAL_ONLY');
  for (const row of locals) expect(row['before_name']).toBe(local.get(row['key']!)?.name);
  expect(new Set(before.map(({ decision }) => decision))).toEqual(new Set(['PENDING']));
  expect(before.filter(({ planned: what }) => what === 'CORRECT')).toHaveLength(20);
  const differing = before.filter(({ differs }) => differs !== '');
  expect(differing.map(({ key, differs }) => `${key} ${differs}`).toSorted()).toEqual(
    report.corrections.map(({ key, differs }) => `${key} ${differs.join(' ')}`).toSorted(),
  );

  await steer('approve', run, '--by', 'ana', '--reason', 'ticket 1', '--set', setHash ?? '');
  expect(await system.waitForClosed(run)).toMatchObject({ status: 'COMPLETED' });
  const after = (await steer('report', run, '--json')).json<{ report: DivergenceReport; approve: null }>();
  expect(after.approve).toBeNull();
  expect(after.report.kinds).toMatchObject({
    cids: 40,
    pending: 0,
    dictOnly: 10,
    unknownKeys: 0,
    localOnly: 10,
    changedKeys: 10,
    changedCids: 20,
  });
  expect(after.report.decisions).toEqual([
    { side: 'DICT_ONLY', decision: 'ADDED', cids: 10 },
    { side: 'DICT_ONLY', decision: 'CORRECTED', cids: 10 },
    { side: 'LOCAL_ONLY', decision: 'CORRECTED', cids: 10 },
    { side: 'LOCAL_ONLY', decision: 'REMOVED', cids: 10 },
  ]);
  // The days are those on which the local CIDs came, not that of the repair.
  const total = (days: DivergenceReport['days']) => days.map(({ day, cids }) => [day, cids]);
  expect(total(after.report.days)).toEqual(total(report.days));
  expect(
    (await csv()).filter((row) => row['decision'] === 'CORRECTED' && row['before_name'] !== ''),
  ).toHaveLength(20);
  expect((await steer('describe', run)).stdout).toMatch(/^planned repair +nothing$/m);
});

test('the report refuses a run that is not a reconciliation, an unknown comparison, and two formats together', async () => {
  const { run, steer, system } = await waiting();
  const verification = await system.verify();
  await system.waitForClosed(verification);
  for (const args of [
    [verification],
    [verification, '--csv'],
    [run, '--round', '2'],
    [run, '--csv', '--round', '2'],
  ]) {
    expectRefusal(await steer('report', ...args), 1, 'DV_REPORT_MISSING');
  }
  expectRefusal(await steer('report', run, '--csv', '--json'), 2, 'DV_USAGE');
  expectRefusal(await steer('report', run, '--round', '0'), 2, 'DV_USAGE');
  expectRefusal(await steer('report', 'nothing:of:this'), 1, 'DV_RUN_NOT_FOUND');
  expect((await steer('describe', verification, '--json')).json()).toMatchObject({ report: null });
});
