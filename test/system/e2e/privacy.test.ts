import type { Pool } from 'pg';
import { expect, it } from 'vitest';
import type { Entry } from '../../../src/dict/entry/entry.ts';
import { KEY_TYPES } from '../../../src/dict/entry/key-type.ts';
import { retryRun } from '../../../src/engine/index.ts';
import { childrenOf, received, notifications } from '../../support/inspect.ts';
import { capturedLog } from '../../support/log.ts';
import { isClosed, startSystem } from '../../support/system.ts';

/** The entries' fields that occur in the text. Short account numbers are left out: times look like them. */
function personalIn(text: string, entries: readonly Entry[]): string[] {
  const words = new Set(text.match(/[0-9]+/g));
  const found = entries.flatMap(({ keyType, key, name, tradeName, taxIdNumber, accountNumber }) => [
    ...(text.includes(key) ? [`key of ${keyType}`] : []),
    ...(text.includes(name) || (tradeName !== null && text.includes(tradeName)) ? ['name'] : []),
    ...(text.includes(taxIdNumber) ? ['tax id'] : []),
    ...(accountNumber.length >= 8 && words.has(accountNumber) ? ['account number'] : []),
  ]);
  return [...new Set(found)].sort();
}

async function textOf(pool: Pool, sql: string): Promise<string> {
  const { rows } = await pool.query<{ text: string }>(
    `select coalesce(string_agg(x::text, ' '), '') as text from (${sql}) x`,
  );
  return rows[0]!.text;
}

it('personal data is neither in the log, down to trace, nor in the engine’s tables', async () => {
  const { log, text, lines } = await capturedLog('trace');
  const system = await startSystem({
    keyTypes: KEY_TYPES,
    divergent: 9,
    settings: { MANUAL_APPROVAL_THRESHOLD: '9' },
    log,
  });
  // A night on which all kinds of things go wrong.
  const { faults } = system.dict;
  const refused = system.dict.directory.find(system.entries[0]!.key)!.cid;
  faults.on({ kind: 'file_duplicate_line', keyType: 'CPF' });
  faults.on({ kind: 'file_junk_line', keyType: 'CNPJ', times: 1 });
  faults.on({ kind: 'problem', status: 500, operation: 'getEntryByCid', times: 3 });
  faults.on({ kind: 'problem', status: 404, operation: 'getEntryByCid', cid: refused, times: 1 });
  faults.on({ kind: 'problem', status: 429, operation: 'createSyncVerification', times: 1 });
  const broken = faults.on({ kind: 'problem', status: 400, operation: 'createCidSetFile', keyType: 'EMAIL' });
  await system.pool.query(`create function public.refuse_row() returns trigger language plpgsql as $$
    begin raise exception 'no %', new; end $$`);
  await system.pool.query(`create trigger refuse_row before update on dict.entries for each row
    when (old.key_type = 'PHONE') execute function public.refuse_row()`);

  const verification = await system.verify();
  await system.hurryToRun(verification, isClosed);
  const children = await childrenOf(system.pool, verification);
  expect(Object.keys(children)).toHaveLength(5);
  await system.hurryToRun(children.EMAIL!, isClosed);
  broken.off();
  await retryRun(system.pool, children.EMAIL!, 'ana', 'again');
  for (const [keyType, run] of Object.entries(children)) {
    await system.hurryToRun(run, ({ status }) => status === 'WAITING');
    const decision = keyType === 'EVP' ? 'reject' : 'approve';
    await system.pool.query(`select dict.${decision}_reconciliation($1, 'ana', 'because')`, [run]);
  }
  const ended = [];
  for (const run of Object.values(children)) ended.push((await system.hurryToRun(run, isClosed)).status);
  expect(ended.sort()).toEqual(['COMPLETED', 'COMPLETED', 'COMPLETED', 'FAILED', 'REJECTED']);
  const messages = JSON.stringify(await notifications(system.pool));
  await system.stopService();

  const everybody = [...system.entries, ...system.local];
  // The search would find them: Core-Dict receives them.
  expect(personalIn(messages, everybody)).toEqual(
    expect.arrayContaining(['account number', 'name', 'tax id']),
  );
  expect(personalIn(text(), everybody)).toEqual([]);
  for (const table of ['history', 'runs', 'signals', 'schedule_ticks']) {
    expect(personalIn(await textOf(system.pool, `select * from workflow.${table}`), everybody)).toEqual([]);
  }
  expect(
    personalIn(await textOf(system.pool, 'select * from graphile_worker._private_jobs'), everybody),
  ).toEqual([]);

  const steps = lines().filter(({ activity }) => activity !== undefined);
  expect(steps.length).toBeGreaterThan(100);
  for (const line of steps)
    expect(line).toMatchObject({ participant: system.participant, runId: expect.any(String) as unknown });
  // Each field once per line: many JSON readers refuse a repeated name.
  const repeated = text()
    .trimEnd()
    .split('\n')
    .filter((line) => JSON.stringify(JSON.parse(line)) !== line)
    .map((line) => (JSON.parse(line) as { msg: string }).msg);
  expect([...new Set(repeated)]).toEqual([]);
});

it('by reference, no message contains personal data, and each says what to ask for', async () => {
  const system = await startSystem({
    keyTypes: KEY_TYPES,
    divergent: 6,
    settings: { NOTIFY_CONTENT: 'references', MANUAL_APPROVAL_THRESHOLD: '5' },
  });
  const verification = await system.verify();
  await system.waitForClosed(verification);
  const children = await childrenOf(system.pool, verification);
  for (const [keyType, run] of Object.entries(children)) {
    await system.waitForRun(run, ({ status }) => status === 'WAITING');
    const decision = keyType === 'EVP' ? 'reject' : 'approve';
    await system.pool.query(`select dict.${decision}_reconciliation($1, 'Ana Souza', 'João asked for it')`, [
      run,
    ]);
    await system.waitForClosed(run);
  }
  await system.pool.query(`select dict.start_undo($1, 'Ana Souza', 'João asked for it')`, [children.CPF]);
  await expect
    .poll(async () => (await notifications(system.pool)).map(({ type }) => type))
    .toEqual(expect.arrayContaining(['undo.changes', 'undo.done']));
  expect(await received(system.pool, children.EVP!)).toContain('reconciliation.notification REJECTED');
  const { rows } = await system.pool.query<{ payload: { personaldata: boolean } }>(
    'select payload from dict.notifications',
  );
  const text = JSON.stringify(rows);
  expect(personalIn(text, [...system.entries, ...system.local])).toEqual([]);
  expect(text).not.toMatch(/Ana Souza|João/);
  expect(rows.filter(({ payload }) => payload.personaldata)).toEqual([]);

  // The query that docs/guides/core-dict.md gives for it.
  const asked = await system.pool.query(
    `select c ->> 'decision' = k.decision and k.key is not null as found
     from dict.notifications n cross join jsonb_array_elements(n.payload -> 'data' -> 'changes') c
     left join dict.key_changes k on k.run_id::text = n.payload #>> '{data,runId}' and
       (k.local_cid = c ->> 'cidBefore' or k.dict_cid = c ->> 'cidAfter')
     where n.type = 'reconciliation.changes'`,
  );
  expect(asked.rows).toEqual(Array.from({ length: 4 * 6 }, () => ({ found: true })));
});
