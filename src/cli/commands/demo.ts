import type { Command } from 'commander';
import type { Pool } from 'pg';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readAsset } from '../../assets.ts';
import { connectBridge } from '../../bridge/index.ts';
import { readSettings } from '../../settings.ts';
import { startEmbeddedPostgres, THROWAWAY_SETTINGS } from '../../database/embedded/embedded-postgres.ts';
import { migrate } from '../../database/migrate/migrate.ts';
import { connect, createPool } from '../../database/pool.ts';
import { importEntries } from '../../dict/key-base/import.ts';
import { KEY_TYPES } from '../../dict/entry/key-type.ts';
import { DvError } from '../../errors/dv-error.ts';
import { one } from '../../errors/rows.ts';
import { createLog } from '../../log.ts';
import { damage, generateKeyBase, startSimulator } from '../../simulator/index.ts';
import { printAnswer } from '../output/print.ts';
import { command, wholeNumber } from '../command-options.ts';
import { startChurn } from '../demo/churn.ts';
import { playHardNight, prepareHardNight } from '../demo/hard-night.ts';
import { narrator } from '../demo/narration.ts';
import { demoCoreDict } from '../demo/pulsar.ts';
import {
  deliveredMessages,
  type DemoOptions,
  DEMO_PARTICIPANT,
  demoReport,
  showReport,
} from '../demo/demo-report.ts';
import { startService } from '../../service/service.ts';

/** The simulator runs this many times faster: a CID file takes half a second instead of ten seconds. */
const SPEED = 20;
const POLL_MS = 50;
/** Time limit for Core-Dict to receive the messages that Pulsar has accepted. */
const RECEIVE_MS = 20_000;

/** `dict-vsync demo`: a complete reconciliation with real components. It needs nothing installed or running. */
export function demo(): Command {
  return command(
    'demo',
    'Shows a complete reconciliation with an embedded Postgres and a DICT simulator behind a gRPC Bridge: verification, comparison, repair, and the verification after it.',
    [
      'demo',
      'demo --keys 20000 --divergent 60 --json',
      'demo --divergent 150 --no-approve',
      'demo --night-from-hell',
      'demo --pulsar',
    ],
  )
    .option('--keys <N>', 'number of keys of each type', wholeNumber('--keys', 1, 1_000_000), 1000)
    .option(
      '--divergent <N>',
      'how many keys of each type differ',
      wholeNumber('--divergent', 0, 1_000_000),
      7,
    )
    .option(
      '--seed <N>',
      'seed for generating the keys and the differences',
      wholeNumber('--seed', 0, 2 ** 31),
      1,
    )
    .option('--database <URL>', 'use this empty database instead of the embedded one')
    .option(
      '--night-from-hell',
      'DICT is in maintenance at first, shows one entry to nobody, and has another owner for one key',
    )
    .option('--churn', 'customers change keys on both sides while the demo runs')
    .option(
      '--pulsar [URL]',
      'publish to a real Pulsar, and print what Core-Dict received (default: NOTIFY_URL; without it, in a checkout, the Pulsar of the tests)',
    )
    .option('--no-approve', 'leave repairs above the approval threshold waiting for a person')
    .action(async (options: DemoOptions) => {
      if (options.divergent > options.keys) {
        throw new DvError('DV_USAGE', '--divergent cannot be larger than --keys.');
      }
      if (options.nightFromHell === true && (options.churn === true || !options.approve)) {
        throw new DvError('DV_USAGE', '--night-from-hell cannot be combined with --churn or --no-approve.');
      }
      process.exitCode = await runDemo(options);
    });
}

async function runDemo(options: DemoOptions): Promise<number> {
  const began = performance.now();
  const say = narrator(options);
  const temp = await mkdtemp(join(tmpdir(), 'dict-vsync-demo-'));
  await using resources = new AsyncDisposableStack();
  resources.defer(async () => rm(temp, { recursive: true, force: true }));

  const pulsarUrl = typeof options.pulsar === 'string' ? options.pulsar : undefined;
  const coreDict =
    options.pulsar === undefined ? undefined : await demoCoreDict(pulsarUrl, resources, say.line);
  if (coreDict !== undefined)
    say.line(`Core-Dict is subscribed to the Pulsar topic ${coreDict.settings['NOTIFY_TOPIC']}`);
  const url = options.database ?? (await embedded(temp, resources));
  if (options.database !== undefined) await expectEmpty(options.database);
  await migrate(url);
  const pool = createPool(url, { max: 30 });
  resources.defer(async () => pool.end());
  say.ready(options.database === undefined ? 'an embedded Postgres' : 'your Postgres');

  const entries = [
    ...generateKeyBase({
      participant: DEMO_PARTICIPANT,
      keyTypes: KEY_TYPES,
      keysPerType: options.keys,
      seed: options.seed,
    }),
  ];
  const damaged = damage(entries, { perType: options.divergent, seed: options.seed });
  const hard = options.nightFromHell === true ? prepareHardNight(entries, damaged.local) : undefined;
  if (options.nightFromHell === true && hard === undefined) {
    throw new DvError(
      'DV_USAGE',
      '--night-from-hell needs CPF keys that only DICT has, and a phone key that both sides have: give larger numbers with --keys and --divergent.',
    );
  }
  const local = hard?.local ?? damaged.local;
  const skipped = { ms: 0 };
  const clock = () => Date.now() + skipped.ms;
  const simulator = await startSimulator({ speed: SPEED, seed: options.seed, clock });
  resources.defer(async () => simulator.stop());
  simulator.dict.directory.seed(entries);
  await importEntries(pool, local);
  say.seeded();

  // Only the log level and, if requested, Pulsar come from the environment: a demo must not use a real Bridge or
  // database.
  const settings = readSettings({
    ...coreDict?.settings,
    PARTICIPANT_ISPB: DEMO_PARTICIPANT,
    TEMP_DIR: temp,
    // The key base was loaded a second ago, and the simulator runs fast.
    IN_FLIGHT_MARGIN_SECONDS: '0',
    NOK_RECHECK_SECONDS: '0.2',
    FILE_POLL_SECONDS: '0.6',
    // The failures of a hard night are wanted, and the narration reports them.
    LOG_LEVEL: process.env['LOG_LEVEL'] ?? (hard === undefined ? 'warn' : 'fatal'),
  });
  const log = await createLog({ level: settings.LOG_LEVEL, pretty: process.stderr.isTTY });
  const bridge = connectBridge({ address: simulator.address });
  resources.defer(() => bridge.close());
  const service = await startService({ pool, bridge, settings, log, crontab: readAsset('crontab') });
  resources.defer(async () => service.stop());

  const untouched = new Set(local);
  const churn =
    options.churn === true
      ? startChurn(
          pool,
          simulator.dict,
          entries.filter((entry) => untouched.has(entry)),
          options.seed,
        )
      : undefined;
  const untilQuiet = async (hurry?: () => Promise<void>) => {
    while (await isBusy(pool, say, options)) {
      await hurry?.();
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  };
  if (hard === undefined) {
    await pool.query('select dict.start_verification($1)', [DEMO_PARTICIPANT]);
    await untilQuiet();
  } else {
    const { blocked } = hard;
    await playHardNight({ pool, dict: simulator.dict, skipped, blocked, say: say.line, untilQuiet });
  }
  // Waits until the relay has delivered everything, so that the report counts all messages.
  while (await undelivered(pool)) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  const sent = await deliveredMessages(pool);
  const deadline = performance.now() + RECEIVE_MS;
  const receivedAll = () => coreDict === undefined || coreDict.received.length >= sent;
  while (!receivedAll() && performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));

  const customers = await churn?.stop();
  const seconds = (performance.now() - began) / 1000;
  const report = await demoReport(pool, simulator.dict, {
    seconds,
    churn: customers,
    received: coreDict?.received,
  });
  printAnswer(options, report, () => showReport(report));
  return report.inSync && (customers?.reverted ?? 0) === 0 && receivedAll() ? 0 : 1;
}

/**
 * Whether a run is still open, other than those that wait for a person (--no-approve). Otherwise approves what waits.
 */
async function isBusy(
  pool: Pool,
  say: ReturnType<typeof narrator>,
  { approve }: DemoOptions,
): Promise<boolean> {
  const { rows } = await pool.query<{ open: number; waiting: string[] }>(
    `select count(*) filter (where closed_at is null)::integer as open,
       coalesce(array_agg(id) filter (where status = 'WAITING'), '{}') as waiting
     from workflow.runs where machine <> 'verification_schedule'`,
  );
  const { open, waiting } = one(rows);
  await say.follow(pool);
  if (open === 0 || (!approve && open === waiting.length)) return false;
  if (approve) {
    for (const run of waiting) {
      await pool.query('select dict.approve_reconciliation($1, $2, $3)', [
        run,
        'demo',
        'the demo approves itself',
      ]);
    }
  }
  return true;
}

async function embedded(temp: string, resources: AsyncDisposableStack): Promise<string> {
  const server = await startEmbeddedPostgres({
    directory: join(temp, 'postgres'),
    settings: THROWAWAY_SETTINGS,
  });
  resources.defer(async () => server.stop());
  return server.url;
}

async function undelivered(pool: { query: ReturnType<typeof createPool>['query'] }): Promise<boolean> {
  const { rows } = await pool.query<{ some: boolean }>(
    'select exists (select from dict.outbox where delivered_at is null) as some',
  );
  return one(rows).some;
}

/** Throws DV_DEMO_DATABASE_NOT_EMPTY for a database that is not empty. */
async function expectEmpty(url: string): Promise<void> {
  const client = await connect(url, 'dict-vsync demo');
  try {
    const { rows } = await client.query<{ used: boolean }>(
      `select exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema' and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
           and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')) as used`,
    );
    if (!one(rows).used) return;
  } finally {
    await client.end();
  }
  throw new DvError(
    'DV_DEMO_DATABASE_NOT_EMPTY',
    'The database already has tables. The demo never touches a database that is in use. Create an empty database for it.',
  );
}
