import { randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import { KEY_TYPES } from '../../../../src/dict/entry/key-type.ts';
import { configureRetries, readRetries, startRetries } from '../../../../src/dict/vsync/retries.ts';
import { configureParticipants } from '../../../../src/dict/vsync/vsync-store.ts';
import { storeMachines } from '../../../../src/engine/index.ts';
import { passingCodes } from '../../../../src/errors/catalogue.ts';
import { machines } from '../../../../src/workflows/index.ts';
import { advanceClock } from '../../../support/clock.ts';
import { useTestDatabase } from '../../../support/database.ts';
import { ISPB } from '../../../support/key-base.ts';

const database = useTestDatabase();
const OTHER = '87654321';
/** Minutes. The clock of the tests begins at 0. */
type At = number;

let begin: Date;

beforeEach(async () => {
  await storeMachines(database.pool, machines);
  await database.pool
    .query(`truncate workflow.runs, workflow.schedules, dict.participants, dict.verifications,
      dict.sync_verifications cascade; update workflow.clock set offset_by = '0'`);
  await configureRetries(database.pool, '5,15,30,60');
  await configureParticipants(database.pool, [ISPB]);
  await database.pool.query(`update dict.participants set configured_at = workflow.now() - interval '1 day'`);
  const { rows } = await database.pool.query<{ now: Date }>('select workflow.now() as now');
  begin = rows[0]!.now;
});

const time = (at: At): Date => new Date(begin.getTime() + at * 60_000);

/** Moves the clock to the minute. */
async function moveTo(at: At): Promise<void> {
  const { rows } = await database.pool.query<{ now: Date }>('select workflow.now() as now');
  await advanceClock(database.pool, `${time(at).getTime() - rows[0]!.now.getTime()} milliseconds`);
}

interface Closed {
  from: At;
  /** Undefined: it is open. */
  to?: At;
  status?: string;
  error?: { code: string; class: string };
}

/** Writes a run as it would be, without its history. The triggers that run at its end are switched off. */
async function writeRun(machine: string, key: string, input: object, { from, to, status, error }: Closed) {
  const client = await database.pool.connect();
  const id = randomUUID();
  try {
    await client.query(`set session_replication_role = 'replica'`);
    await client.query(
      `insert into workflow.runs (id, machine, machine_version, workflow_key, state, status, input, started_by,
         correlation_id, error, entered_at, created_at, updated_at, closed_at)
       select $1, name, version, $3, initial_state, $4, $5, 'test', 'c', $6, $7, $7, $7, $8
       from workflow.machines where name = $2`,
      [
        id,
        machine,
        key,
        to === undefined ? 'RUNNING' : (status ?? 'COMPLETED'),
        input,
        error ?? null,
        time(from),
        to === undefined ? null : time(to),
      ],
    );
  } finally {
    await client.query('reset session_replication_role');
    client.release();
  }
  return id;
}

type Result = 'OK' | 'NOK' | { code: string };

/** A verification with its results. DICT's answers come at its end. */
async function verified(results: Record<string, Result>, closed: Closed & { to: At }, participant = ISPB) {
  const keyTypes = Object.keys(results).sort();
  const id = await writeRun(
    'verification',
    `verification:${participant}:${keyTypes.join(',')}`,
    { participant, keyTypes },
    closed,
  );
  const stored = Object.fromEntries(
    Object.entries(results).map(([keyType, result]) => [
      keyType,
      typeof result === 'string' ? { result } : { result: 'ERROR', ...result },
    ]),
  );
  await database.pool.query(`insert into dict.verifications values ($1, $2, $3, $4, $5, 'INCOMPLETE', $6)`, [
    id,
    participant,
    keyTypes,
    time(closed.from),
    time(closed.to),
    stored,
  ]);
  for (const keyType of keyTypes.filter((each) => results[each] === 'OK'))
    await ok(keyType, closed.to, participant);
}

async function ok(keyType: string, at: At, participant = ISPB) {
  await database.pool.query(
    `insert into dict.sync_verifications (run_id, purpose, participant, key_type, vsync, entries, asked_at, answered_at, result)
     values ($1, 'VERIFICATION', $2, $3, repeat('0', 64), 0, $4, $4, 'OK')`,
    [randomUUID(), participant, keyType, time(at)],
  );
}

const reconciled = async (keyType: string, closed: Closed) =>
  writeRun(
    'reconciliation',
    `reconciliation:${ISPB}:${keyType}`,
    { participant: ISPB, keyType },
    { status: 'FAILED', ...closed },
  );

/** A tick, after which all key types but CPF are OK if it has fired. */
async function ticked(at: At, outcome = 'FIRED', decided = at) {
  if (outcome === 'FIRED') for (const keyType of ['CNPJ', 'EMAIL', 'EVP', 'PHONE']) await ok(keyType, at);

  await database.pool.query(
    `insert into workflow.schedules values ('nightly', $1) on conflict (name) do update set last_tick = $1`,
    [time(at)],
  );
  await database.pool.query(`insert into workflow.schedule_ticks values ('nightly', $1, $2, $3)`, [
    time(at),
    outcome,
    time(decided),
  ]);
}

/** The retries to come: key type, number, and minute at which they are due. */
async function toCome(): Promise<[string, number, At][]> {
  return (await readRetries(database.pool)).map(({ keyType, retry, dueAt }) => [
    keyType,
    retry,
    Math.round((dueAt.getTime() - begin.getTime()) / 60_000),
  ]);
}

const UNAVAILABLE = { code: 'DV_BRIDGE_UNAVAILABLE' };
const LATE = { code: 'DV_FILE_LATE', class: 'not_retryable' };
const AWAY = { code: 'DV_BRIDGE_UNAVAILABLE', class: 'retryable' };

describe('when', () => {
  test('after 5, 15, 30, 60 minutes, then each hour, until an OK', async () => {
    await ticked(0);
    const due: number[] = [];
    let at = 0;
    for (let attempt = 1; attempt <= 7; attempt++) {
      await verified({ CPF: UNAVAILABLE, EVP: 'OK' }, { from: at, to: at + 1, status: 'FAILED' });
      const [next, ...others] = await toCome();
      expect(others).toEqual([]);
      expect(next).toEqual(['CPF', attempt, expect.any(Number)]);
      due.push(next![2] - at);
      at = next![2];
    }
    // From the begin of the attempt to the begin of the next one. The first pause begins at its end.
    expect(due).toEqual([6, 15, 30, 60, 60, 60, 60]);
    await verified({ CPF: 'OK' }, { from: at, to: at });
    expect(await toCome()).toEqual([]);
  });

  test('a long attempt is followed by the shortest pause', async () => {
    await ticked(0);
    await verified({ CPF: UNAVAILABLE }, { from: 0, to: 90, status: 'FAILED' });
    expect(await toCome()).toEqual([['CPF', 1, 95]]);
  });

  test('the next tick begins a new count', async () => {
    await ticked(0);
    for (const at of [0, 100, 200, 300]) await verified({ CPF: UNAVAILABLE }, { from: at, to: at });
    expect(await toCome()).toEqual([['CPF', 4, 360]]);
    await ticked(1440);
    await verified({ CPF: UNAVAILABLE }, { from: 1440, to: 1440 });
    expect(await toCome()).toEqual([['CPF', 1, 1445]]);
  });

  test('a tick that nothing followed is retried: skipped, or lost with its run', async () => {
    await ticked(0, 'SKIPPED', 800);
    expect(await toCome()).toEqual(KEY_TYPES.toSorted().map((keyType) => [keyType, 1, 805]));
    await ok('EVP', 801);
    expect((await toCome()).map(([keyType]) => keyType)).not.toContain('EVP');
    expect((await readRetries(database.pool))[0]!.reason).toBe(
      `No verification followed the tick of ${begin.toISOString()}.`,
    );
    // A participant that was configured after it is not concerned.
    await configureParticipants(database.pool, [ISPB, OTHER]);
    await database.pool.query('update dict.participants set configured_at = $2 where participant = $1', [
      OTHER,
      time(801),
    ]);
    expect(new Set((await readRetries(database.pool)).map(({ participant }) => participant))).toEqual(
      new Set([ISPB]),
    );
  });

  test('without a crontab it continues until the OK; without any attempt there is nothing to retry', async () => {
    expect(await toCome()).toEqual([]);
    await verified({ CPF: UNAVAILABLE }, { from: 0, to: 0 });
    await moveTo(10_000);
    expect(await toCome()).toEqual([['CPF', 1, 5]]);
  });

  test('never with RETRY_MINUTES=0', async () => {
    await verified({ CPF: UNAVAILABLE }, { from: 0, to: 0 });
    await configureRetries(database.pool, '0');
    expect(await toCome()).toEqual([]);
  });

  test('only for configured participants', async () => {
    await verified({ CPF: UNAVAILABLE }, { from: 0, to: 0 }, OTHER);
    expect(await toCome()).toEqual([]);
  });
});

describe('what', () => {
  test.each<[string, Closed, boolean]>([
    ['Bridge unreachable', { from: 1, to: 2, error: AWAY }, true],
    ['late file', { from: 1, to: 2, error: LATE }, true],
    ['rate limit', { from: 1, to: 2, error: { code: 'DV_DICT_RATE_LIMITED', class: 'rate_limited' } }, true],
    ['forbidden', { from: 1, to: 2, error: { code: 'DV_DICT_FORBIDDEN', class: 'not_retryable' } }, false],
    ['too long', { from: 1, to: 2, error: { code: 'DV_REPAIR_TOO_LONG', class: 'not_retryable' } }, false],
    ['held keys', { from: 1, to: 2, error: { code: 'DV_KEYS_HELD', class: 'not_retryable' } }, false],
    ['still NOK', { from: 1, to: 2, error: { code: 'DV_STILL_NOK', class: 'not_retryable' } }, false],
    ['without an error', { from: 1, to: 2 }, false],
    ['quarantine', { from: 1, to: 2, status: 'COMPLETED_WITH_QUARANTINE' }, false],
    ['rejected', { from: 1, to: 2, status: 'REJECTED' }, false],
    ['cancelled', { from: 1, to: 2, status: 'CANCELLED' }, false],
    ['cancelled after an error', { from: 1, to: 2, status: 'CANCELLED', error: AWAY }, false],
    ['terminated', { from: 1, to: 2, status: 'TERMINATED' }, false],
    [
      'poisoned',
      { from: 1, to: 2, status: 'POISONED', error: { code: 'DV_STEP_POISONED', class: 'not_retryable' } },
      false,
    ],
    ['open', { from: 1 }, false],
  ])('after a NOK and a reconciliation: %s', async (_, closed, retried) => {
    await ticked(0);
    await verified({ CPF: 'NOK', EVP: UNAVAILABLE }, { from: 0.5, to: 1 });
    await reconciled('CPF', closed);
    const types = (await toCome()).map(([keyType]) => keyType);
    // The other key type is retried in each case.
    expect(types).toEqual(retried ? ['CPF', 'EVP'] : ['EVP']);
    if (closed.to === undefined) return;
    // What was decided counts until the next tick.
    await ticked(1440);
    expect((await toCome()).map(([keyType]) => keyType)).toContain('CPF');
  });

  test('a NOK without a reconciliation', async () => {
    await verified({ CPF: 'NOK' }, { from: 0, to: 1, status: 'FAILED' });
    expect(await toCome()).toEqual([['CPF', 1, 6]]);
  });

  test.each<[string, Closed & { to: At }, Result, boolean]>([
    ['failed in every call', { from: 0, to: 1, status: 'FAILED' }, UNAVAILABLE, true],
    ['refused', { from: 0, to: 1, status: 'FAILED' }, { code: 'DV_DICT_FORBIDDEN' }, true],
    ['cancelled', { from: 0, to: 1, status: 'CANCELLED' }, { code: 'DV_RUN_CANCELLED' }, false],
    ['cancelled after a NOK', { from: 0, to: 1, status: 'CANCELLED' }, 'NOK', false],
    ['poisoned', { from: 0, to: 1, status: 'POISONED' }, { code: 'DV_STEP_POISONED' }, false],
  ])('a verification that was %s', async (_, closed, result, retried) => {
    await ticked(0);
    await verified({ CPF: result }, closed);
    expect((await toCome()).length > 0).toBe(retried);
    await ticked(1440);
    expect((await toCome()).map(([keyType]) => keyType)).toContain('CPF');
  });

  test('not while a verification of the key type is open, whatever other key types it has', async () => {
    await verified({ CPF: UNAVAILABLE, EVP: UNAVAILABLE }, { from: 0, to: 1 });
    await writeRun(
      'verification',
      'verification:somebody',
      { participant: ISPB, keyTypes: ['CPF', 'PHONE'] },
      { from: 2 },
    );
    expect((await toCome()).map(([keyType]) => keyType)).toEqual(['EVP']);
  });

  test('not after an OK that came later, from any run', async () => {
    await verified({ CPF: UNAVAILABLE }, { from: 0, to: 1 });
    await ok('CPF', 2);
    expect(await toCome()).toEqual([]);
  });

  test('a reconciliation that a person started and that failed', async () => {
    await verified({ CPF: 'OK' }, { from: 0, to: 1 });
    await reconciled('CPF', { from: 10, to: 20, error: LATE });
    expect(await toCome()).toEqual([['CPF', 1, 25]]);
  });

  test('a rejection stands though a person’s verification found DICT unreachable after it', async () => {
    await ticked(0);
    await verified({ CPF: 'NOK' }, { from: 0, to: 1 });
    await reconciled('CPF', { from: 1, to: 5, status: 'REJECTED' });
    await verified({ CPF: UNAVAILABLE }, { from: 10, to: 11 });
    expect(await toCome()).toEqual([]);
  });

  test('the catalogue says which errors pass: those of DICT, the Bridge and the files', () => {
    expect(passingCodes().sort()).toEqual([
      'DV_BRIDGE_NONSENSE',
      'DV_DICT_GONE',
      'DV_DICT_NOT_FOUND',
      'DV_FILE_BYTES_WRONG',
      'DV_FILE_LATE',
      'DV_FILE_LINE_INVALID',
      'DV_FILE_SHA256_WRONG',
      'DV_FILE_UNUSABLE',
    ]);
  });
});

describe('start', () => {
  test('one run with what is due, its reason, and which key types must spare files', async () => {
    await ticked(0);
    await verified({ CPF: 'NOK', EVP: UNAVAILABLE, PHONE: 'OK' }, { from: 0.5, to: 1 });
    await reconciled('CPF', { from: 1, to: 2, error: LATE });
    expect(await startRetries(database.pool)).toEqual([]);
    await moveTo(7);
    const reason =
      `Automatic retry 1. The reconciliation of CPF that began at ${time(1).toISOString()} failed: DV_FILE_LATE. ` +
      `The verification that began at ${time(0.5).toISOString()} got no answer: DV_BRIDGE_UNAVAILABLE.`;
    const [started, ...others] = await startRetries(database.pool);
    expect(others).toEqual([]);
    expect(started).toEqual({
      runId: expect.any(String) as string,
      participant: ISPB,
      keyTypes: ['CPF', 'EVP'],
      reason,
    });
    const { rows } = await database.pool.query(
      'select workflow_key, started_by, input from workflow.runs where id = $1',
      [started!.runId],
    );
    expect(rows).toEqual([
      {
        workflow_key: `verification:${ISPB}:CPF,EVP`,
        started_by: 'retry',
        input: { participant: ISPB, keyTypes: ['CPF', 'EVP'], reason, sparing: ['CPF'] },
      },
    ]);
    expect(await startRetries(database.pool)).toEqual([]);
  });

  test('each participant has its own run', async () => {
    await configureParticipants(database.pool, [ISPB, OTHER]);
    await verified({ CPF: UNAVAILABLE }, { from: 0, to: 1 });
    await verified({ EVP: UNAVAILABLE }, { from: 0, to: 1 }, OTHER);
    await moveTo(6);
    expect(
      (await startRetries(database.pool)).map(({ participant, keyTypes }) => [participant, keyTypes]),
    ).toEqual([
      [ISPB, ['CPF']],
      [OTHER, ['EVP']],
    ]);
  });

  test('several workers simultaneously start one run', async () => {
    await verified({ CPF: UNAVAILABLE }, { from: 0, to: 1 });
    await moveTo(6);
    const started = await Promise.all(Array.from({ length: 8 }, async () => startRetries(database.pool)));
    expect(started.flat()).toHaveLength(1);
  });

  test('what is rolled back is started by the next caller', async () => {
    await verified({ CPF: UNAVAILABLE }, { from: 0, to: 1 });
    await moveTo(6);
    const client = await database.pool.connect();
    await client.query('begin');
    expect(await startRetries(client)).toHaveLength(1);
    expect(await startRetries(database.pool)).toEqual([]);
    await client.query('rollback');
    client.release();
    expect(await startRetries(database.pool)).toHaveLength(1);
  });
});
