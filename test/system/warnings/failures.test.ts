import { expect, onTestFinished, test, vi } from 'vitest';
import { storeMachines } from '../../../src/engine/store-machines.ts';
import { machines } from '../../../src/workflows/index.ts';
import { createTestDatabase } from '../../support/database.ts';
import { freePort } from '../../support/free-port.ts';
import { childrenOf } from '../../support/inspect.ts';
import { capturedLog, type LogLine } from '../../support/log.ts';
import { isClosed, startSystem } from '../../support/system.ts';
import { WorkerProcess } from '../../adversity/chaos/worker-process.ts';
import { silence } from '../../unit/engine/support.ts';

const ERROR = 50;
const errors = (lines: LogLine[]) => lines.filter(({ level }) => level >= ERROR);

test('each run that ends FAILED is one error line, a child too, though two workers run; a cancelled run has no line', async () => {
  const log = await capturedLog('info');
  const system = await startSystem({ keyTypes: ['CPF', 'EVP'], divergent: 3, log: log.log });
  await system.startAnotherService();
  const broken = [
    system.dict.faults.on({
      kind: 'problem',
      status: 500,
      operation: 'createSyncVerification',
      keyType: 'EVP',
    }),
    system.dict.faults.on({ kind: 'problem', status: 403, operation: 'listCidSetEvents' }),
    system.dict.faults.on({ kind: 'problem', status: 403, operation: 'createCidSetFile' }),
  ];
  const run = await system.verify();
  await system.hurryToRun(run, isClosed);
  const child = (await childrenOf(system.pool, run)).CPF!;
  await system.hurryToRun(child, isClosed);
  const logged = () => errors(log.lines());
  await expect.poll(() => logged().length, { timeout: 10_000 }).toBe(2);
  const { rows } = await system.pool.query<{ id: string; correlation_id: string; code: string }>(
    `select id, correlation_id, error ->> 'code' as code from workflow.runs where id = any ($1)`,
    [[run, child]],
  );
  const of = new Map(rows.map((row) => [row.id, row]));
  const common = (id: string) => ({
    ...{ runId: id, participant: system.participant, correlationId: of.get(id)?.correlation_id },
    ...{ code: of.get(id)?.code, msg: expect.stringMatching(/^a run ended FAILED: /) as string },
  });
  expect(logged().sort((a, b) => String(b['machine']).localeCompare(String(a['machine'])))).toMatchObject([
    { ...common(run), machine: 'verification', code: 'DV_DICT_INTERNAL' },
    { ...common(child), machine: 'reconciliation', keyType: 'CPF' },
  ]);

  for (const fault of broken) fault.off();
  await system.stopBridge();
  const cancelled = await system.reconcile();
  await system.waitForRun(cancelled, ({ attempt }) => attempt > 0);
  await system.pool.query('select workflow.cancel($1)', [cancelled]);
  await system.waitForClosed(cancelled);
  // What is logged next is a run that fails after it.
  await system.pool.query(`insert into workflow.failures_to_log (run_id, status) values ($1, 'FAILED')`, [
    run,
  ]);
  await expect.poll(() => logged().length, { timeout: 10_000 }).toBe(3);
  expect(logged().every(({ runId }) => runId !== cancelled)).toBe(true);
});

test('a run that the sweep of one of two worker processes ends POISONED is one error line of the two logs', async () => {
  const database = await createTestDatabase();
  onTestFinished(async () => database.drop());
  const { pool } = database;
  await storeMachines(pool, machines);
  const { rows } = await pool.query<{ id: string }>(
    `select dict.start_verification('12345678', array['CPF']) as id`,
  );
  const run = rows[0]!.id;
  for (const worker of ['first', 'second', 'third']) {
    await pool.query(`select workflow.heartbeat($1, '{}')`, [worker]);
    await pool.query('update workflow.runs set wake_at = workflow.now() where id = $1', [run]);
    await pool.query('select workflow.claim($1, $2)', [run, worker]);
    await silence(pool, worker);
    // The third death is left to the processes.
    if (worker !== 'third') await pool.query('select * from workflow.sweep()');
  }
  const start = async () =>
    new WorkerProcess({
      ...{ DATABASE_URL: database.url, PARTICIPANT_ISPB: '12345678', LOG_LEVEL: 'info' },
      ...{ BRIDGE_ADDRESS: `127.0.0.1:${await freePort()}`, HTTP_PORT: '0', CRONTAB: '' },
    });
  const workers = [await start(), await start()];
  onTestFinished(async () => void (await Promise.all(workers.map(async (worker) => worker.kill()))));
  await Promise.all(workers.map(async (worker) => worker.ready()));
  const lines = () =>
    workers
      .flatMap(({ said }) => said.split('\n').filter((line) => line.startsWith('{')))
      .map((line) => JSON.parse(line) as LogLine);
  const left = async () => {
    const { rowCount } = await pool.query(
      `select from workflow.runs r where id = $1 and status = 'POISONED'
         and not exists (select from workflow.failures_to_log)`,
      [run],
    );
    return rowCount;
  };
  await vi.waitFor(async () => expect(await left()).toBe(1), { timeout: 20_000, interval: 50 });
  await Promise.all(workers.map(async (worker) => worker.stop()));
  expect(errors(lines()).filter(({ runId }) => runId === run)).toMatchObject([
    {
      ...{ machine: 'verification', participant: '12345678', code: 'DV_STEP_POISONED' },
      ...{
        correlationId: expect.any(String) as string,
        msg: expect.stringMatching(/^a run ended POISONED: /) as string,
      },
    },
  ]);
});
