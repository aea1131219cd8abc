import { randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import {
  checkWarnings,
  configureWarnings,
  readWarnings,
  type WarningCode,
  warningText,
} from '../../../src/dict/vsync/warnings.ts';
import { configureParticipants } from '../../../src/dict/vsync/vsync-store.ts';
import { createHealth, createMetrics } from '../../../src/http/index.ts';
import { advanceClock } from '../../support/clock.ts';
import { useTestDatabase } from '../../support/database.ts';
import { ISPB } from '../../support/key-base.ts';
import { cli } from '../../unit/cli/support.ts';
import { startIdleWorker } from '../../unit/http/idle-worker.ts';

const database = useTestDatabase();

beforeEach(async () => {
  await database.pool
    .query(`truncate dict.participants, dict.warning_alerts, dict.sync_verifications, dict.outbox,
      dict.outbox_sequences, dict.verifications, dict.reconciliations, dict.held_keys cascade;
    update workflow.clock set offset_by = '0'`);
  await configure();
  await configureParticipants(database.pool, [ISPB]);
  await answer('OK');
});

const configure = async (alerts = false) =>
  configureWarnings(database.pool, { deadlineHours: 36, freshOkHours: 24, approvalHours: 1, alerts });
const advance = async (interval: string) => advanceClock(database.pool, interval);

/** DICT's answer to the VSync of CPF, now; the other key types have an OK that is always fresh. */
async function answer(result: 'OK' | 'NOK') {
  const insert = `insert into dict.sync_verifications
    (run_id, purpose, participant, key_type, vsync, entries, asked_at, answered_at, result)`;
  await database.pool.query(
    `${insert} select $1, 'VERIFICATION', $2, 'CPF', repeat('0', 64), 0, workflow.now(), workflow.now(), $3`,
    [randomUUID(), ISPB, result],
  );
  await database.pool.query(
    `${insert} select $1, 'VERIFICATION', $2, t, repeat('0', 64), 0, now() + interval '1 year', now() + interval '1 year', 'OK'
     from unnest(dict.key_types()) t where t <> 'CPF'`,
    [randomUUID(), ISPB],
  );
}

/** A verification that ended now with this for CPF; the others are OK. */
async function verified(found: { result: string; code?: string }): Promise<string> {
  const id = randomUUID();
  await database.pool.query(
    `insert into dict.verifications (run_id, participant, key_types, started_at, ended_at, outcome, results)
     values ($1, $2, '{CPF,EVP}', workflow.now(), workflow.now(), 'INCOMPLETE', $3)`,
    [id, ISPB, { CPF: found, EVP: { result: 'OK' } }],
  );
  return id;
}

/** A reconciliation of CPF that ended now. */
async function reconciled(
  outcome: string,
  { quarantined = 0, unsure = 0, reason = '' } = {},
): Promise<string> {
  const id = randomUUID();
  await database.pool.query(
    `insert into dict.reconciliations (run_id, participant, key_type, started_at, ended_at, outcome, reason,
       vsync_before, entries_before, quarantined, keys_unsure)
     values ($1, $2, 'CPF', workflow.now(), workflow.now(), $3, $4, '', 0, $5, $6)`,
    [id, ISPB, outcome, reason, quarantined, unsure],
  );
  return id;
}

async function holdKeys(count: number): Promise<void> {
  await database.pool.query(
    `insert into dict.held_keys (participant, key_type, key, undo_run_id, by_whom, held_at)
     select $1, 'CPF', 'key ' || n, gen_random_uuid(), 'Ana', workflow.now() from generate_series(1, $2) n`,
    [ISPB, count],
  );
}

const present = async () => (await readWarnings(database.pool)).map(({ code }) => code);
const changes = async () =>
  (await checkWarnings(database.pool)).map(({ change, code }) => `${change} ${code}`);

/** The messages to one destination since the last time that it was asked. */
async function messages(destination = 'CORE_DICT') {
  const { rows } = await database.pool.query<{ type: string; payload: { code?: string } }>(
    `with taken as (delete from dict.outbox where destination = $1 returning *)
     select type, payload from taken order by participant, key_type, sequence`,
    [destination],
  );
  return rows.map(({ type, payload }) => [type, payload.code].filter(Boolean).join(' '));
}

describe('no fresh OK', () => {
  test('it begins at 24 hours, becomes the missed deadline at 36, and both are cleared by an OK', async () => {
    await advance('23 hours 59 minutes');
    expect(await changes()).toEqual([]);
    await advance('2 minutes');
    expect(await changes()).toEqual(['RAISED NO_FRESH_OK']);
    expect(await changes()).toEqual([]);
    await advance('12 hours');
    expect(await present()).toEqual(['DEADLINE_MISSED']);
    // The earlier one has not ended: there is still no OK.
    expect(await changes()).toEqual(['RAISED DEADLINE_MISSED']);
    await answer('NOK');
    expect(await changes()).toEqual([]);
    await answer('OK');
    expect(await changes()).toEqual(['CLEARED DEADLINE_MISSED', 'CLEARED NO_FRESH_OK']);
    expect(await present()).toEqual([]);
    expect(await messages()).toEqual([
      'warning.raised NO_FRESH_OK',
      'sync.deadline_missed',
      'warning.cleared DEADLINE_MISSED',
      'warning.cleared NO_FRESH_OK',
    ]);
  });

  test('an OK that no check saw ends the warning: the next one is another', async () => {
    await advance('25 hours');
    expect(await changes()).toEqual(['RAISED NO_FRESH_OK']);
    await answer('OK');
    await advance('25 hours');
    expect(await changes()).toEqual(['CLEARED NO_FRESH_OK', 'RAISED NO_FRESH_OK']);
  });

  test('the hours are a setting', async () => {
    const others = { deadlineHours: 36, approvalHours: 1, alerts: false };
    await configureWarnings(database.pool, { ...others, freshOkHours: 2.5 });
    await advance('2 hours 29 minutes');
    expect(await present()).toEqual([]);
    await advance('2 minutes');
    expect(await present()).toEqual(['NO_FRESH_OK']);
  });
});

describe('a verification without an answer', () => {
  test('it is one warning however often it is repeated, and an OK ends it', async () => {
    await advance('1 hour');
    await verified({ result: 'ERROR', code: 'DV_BRIDGE_UNREACHABLE' });
    expect(await changes()).toEqual(['RAISED VERIFICATION_INCOMPLETE']);
    await advance('5 minutes');
    const again = await verified({ result: 'ERROR', code: 'DV_TIMEOUT' });
    expect(await changes()).toEqual([]);
    expect(await readWarnings(database.pool)).toMatchObject([
      { keyType: 'CPF', runId: again, errorCode: 'DV_TIMEOUT' },
    ]);
    await advance('5 minutes');
    await answer('OK');
    expect(await changes()).toEqual(['CLEARED VERIFICATION_INCOMPLETE']);
  });

  test('NOK is an answer, and what a person cancelled is no warning', async () => {
    await advance('1 hour');
    await verified({ result: 'NOK' });
    await verified({ result: 'ERROR', code: 'DV_RUN_CANCELLED' });
    expect(await present()).toEqual([]);
  });
});

describe('a reconciliation', () => {
  test.each([
    ['FAILED', { reason: 'DV_FILE_LATE: The file is late.' }, ['RECONCILIATION_FAILED']],
    ['POISONED', {}, ['RECONCILIATION_FAILED']],
    ['COMPLETED_WITH_QUARANTINE', { quarantined: 3 }, ['QUARANTINED']],
    ['COMPLETED_WITH_QUARANTINE', { quarantined: 1, unsure: 2 }, ['QUARANTINED', 'UNSURE']],
    ['FAILED', { quarantined: 2 }, ['QUARANTINED', 'RECONCILIATION_FAILED']],
    ['CANCELLED', {}, []],
    ['TERMINATED', {}, []],
    ['REJECTED', {}, []],
    ['COMPLETED', {}, []],
  ] as [string, object, WarningCode[]][])(
    'that ended %s with %j gives %j until an OK comes',
    async (outcome, of, codes) => {
      await advance('1 hour');
      const run = await reconciled(outcome, of);
      const found = await readWarnings(database.pool);
      expect(found.map(({ code }) => code)).toEqual(codes);
      expect(found.every(({ runId }) => runId === run)).toBe(true);
      expect(await changes()).toEqual(codes.map((code) => `RAISED ${code}`));
      await advance('1 hour');
      await reconciled(outcome, of);
      expect(await changes()).toEqual([]);
      await advance('1 hour');
      await answer('OK');
      expect(await changes()).toEqual(codes.map((code) => `CLEARED ${code}`));
    },
  );

  test('the error and the counts are in the warning', async () => {
    await advance('1 hour');
    await reconciled('FAILED', { reason: 'DV_FILE_LATE: The file is late.', quarantined: 7 });
    expect(await readWarnings(database.pool)).toMatchObject([
      { code: 'QUARANTINED', count: 7 },
      { code: 'RECONCILIATION_FAILED', errorCode: 'DV_FILE_LATE' },
    ]);
  });

  test('a cancel by a person does not hide the failure before it', async () => {
    await advance('1 hour');
    await reconciled('FAILED');
    await advance('1 hour');
    await reconciled('CANCELLED');
    expect(await present()).toEqual(['RECONCILIATION_FAILED']);
  });
});

test('held keys are a warning beside the OK, until the last one is released', async () => {
  await holdKeys(150);
  expect(await changes()).toEqual(['RAISED KEYS_HELD']);
  await advance('1 hour');
  await answer('OK');
  await database.pool.query(
    "update dict.held_keys set released_at = workflow.now(), released_by = 'Ana' where key <> 'key 1'",
  );
  expect(await changes()).toEqual([]);
  await database.pool.query(
    "update dict.held_keys set released_at = workflow.now(), released_by = 'Ana' where released_at is null",
  );
  expect(await changes()).toEqual(['CLEARED KEYS_HELD']);
});

test('a participant that is no longer configured has no warning, and what was raised is cleared', async () => {
  await advance('25 hours');
  expect(await changes()).toEqual(['RAISED NO_FRESH_OK']);
  await configureParticipants(database.pool, []);
  expect(await changes()).toEqual(['CLEARED NO_FRESH_OK']);
});

test('several workers simultaneously raise and clear each once', async () => {
  await configure(true);
  await advance('40 hours');
  await holdKeys(1);
  const all = await Promise.all(Array.from({ length: 8 }, changes));
  expect(all.flat().sort()).toEqual(['RAISED DEADLINE_MISSED', 'RAISED KEYS_HELD']);
  await answer('OK');
  const cleared = await Promise.all(Array.from({ length: 8 }, changes));
  expect(cleared.flat()).toEqual(['CLEARED DEADLINE_MISSED']);
  expect(await messages()).toEqual([
    'sync.deadline_missed',
    'warning.raised KEYS_HELD',
    'warning.cleared DEADLINE_MISSED',
  ]);
  expect(await messages('ALERT')).toEqual([
    'warning.raised DEADLINE_MISSED',
    'warning.raised KEYS_HELD',
    'warning.cleared DEADLINE_MISSED',
  ]);
});

test('what is rolled back is raised again, and without ALERT_URL there is no alert', async () => {
  await advance('25 hours');
  const client = await database.pool.connect();
  await client.query('begin');
  expect(await checkWarnings(client)).toHaveLength(1);
  await client.query('rollback');
  client.release();
  expect(await changes()).toEqual(['RAISED NO_FRESH_OK']);
  expect(await messages('ALERT')).toEqual([]);
});

describe('a person sees', () => {
  const env = () => ({ DATABASE_URL: database.url });

  test('in /readyz each warning with its command, and the worker stays ready', async () => {
    await advance('25 hours');
    await holdKeys(150);
    const run = await reconciled('FAILED', { reason: 'DV_FILE_LATE: The file is late.' });
    const worker = await startIdleWorker(database.pool);
    const readiness = await createHealth({ pool: database.pool, worker }).check();
    expect(readiness).toMatchObject({
      ready: true,
      warnings: [
        {
          warning: 'keys_held',
          participant: ISPB,
          keyType: 'CPF',
          message: expect.stringMatching(
            /^150 keys are held since \S+Z, .*; the last OK was at \S+Z\. Run `dict-vsync held`/,
          ) as string,
        },
        {
          warning: 'no_fresh_ok',
          message: expect.stringMatching(/the last OK was at \S+Z\. The next OK must arrive by/) as string,
        },
        {
          warning: 'reconciliation_failed',
          message: expect.stringContaining(`DV_FILE_LATE. Run \`dict-vsync describe ${run}\``) as string,
        },
      ],
    });
    await worker.stop();
  });

  test('in list the warnings above the runs', async () => {
    await advance('25 hours');
    const { stdout } = await cli(['list'], { env: env() });
    expect(stdout.split('\n')[0]).toMatch(
      /^Warning: 12345678 CPF\. There is no fresh OK; the last OK was at/,
    );
    const { warnings } = (await cli(['list', '--json'], { env: env() })).json<{ warnings: object[] }>();
    expect(warnings).toMatchObject([{ participant: ISPB, keyType: 'CPF', code: 'NO_FRESH_OK' }]);
  });

  test('in vsync and sync_status the held keys beside the OK', async () => {
    await advance('1 hour');
    await holdKeys(150);
    const { stdout } = await cli(['vsync', '--participant', ISPB], { env: env() });
    expect(stdout).toMatch(/CPF .* OK at \S+Z, 150 keys held since \S+Z$/m);
    const { vsyncs } = (await cli(['vsync', '--participant', ISPB, '--json'], { env: env() })).json<{
      vsyncs: { keyType: string; heldKeys?: number }[];
    }>();
    expect(vsyncs.find(({ keyType }) => keyType === 'CPF')).toMatchObject({
      ...{ heldKeys: 150, heldSince: expect.any(String) as string, lastOkAt: expect.any(String) as string },
    });
    expect(vsyncs.filter(({ heldKeys }) => heldKeys !== undefined)).toHaveLength(1);
    const { rows } = await database.pool.query<{ key_type: string; held: number; since: Date | null }>(
      'select key_type, held_keys::integer as held, held_since as since from dict.sync_status order by key_type',
    );
    expect(rows.map(({ held }) => held)).toEqual([0, 150, 0, 0, 0]);
    expect(rows.map(({ since }) => since !== null)).toEqual([false, true, false, false, false]);
  });

  test('in metrics one series for each warning, as long as it exists, and the number of held keys', async () => {
    const { registry } = createMetrics(database.pool);
    const scrape = async () =>
      (await registry.metrics()).split('\n').filter((line) => line.startsWith('dict_vsync_warnings{'));
    expect(await scrape()).toEqual([]);
    await advance('25 hours');
    await holdKeys(2);
    const line = (code: string) =>
      `dict_vsync_warnings{participant="${ISPB}",key_type="CPF",code="${code}"} 1`;
    expect(await scrape()).toEqual([line('KEYS_HELD'), line('NO_FRESH_OK')]);
    expect(await registry.metrics()).toContain(
      `dict_vsync_held_keys{participant="${ISPB}",key_type="CPF"} 2`,
    );
    await answer('OK');
    expect(await scrape()).toEqual([line('KEYS_HELD')]);
  });
});

test('each code has sentences that end with a command', async () => {
  const none = {
    since: new Date(),
    count: 1,
    runId: null,
    errorCode: null,
    deadlineAt: null,
    lastOkAt: null,
  };
  const codes: WarningCode[] = [
    ...(['DEADLINE_MISSED', 'NO_FRESH_OK', 'VERIFICATION_INCOMPLETE', 'RECONCILIATION_FAILED'] as const),
    ...(['APPROVAL_WAITING', 'QUARANTINED', 'UNSURE', 'KEYS_HELD', 'RUN_FAILED'] as const),
  ];
  for (const code of codes) {
    expect(warningText({ participant: ISPB, keyType: 'CPF', code, ...none }), code).toMatch(
      /^[A-Z0-9].*\. .*Run `dict-vsync [a-z]+/,
    );
  }
});
