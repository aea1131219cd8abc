import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { DvError } from './errors/dv-error.ts';

// Not coerced: JavaScript takes a blank for 0, and 0 has a meaning of its own in some.
const number = z
  .string()
  .regex(/^-?\d+(\.\d+)?$/, 'must be a plain number')
  .transform(Number);
const flag = (fallback: number, min: number, max: number) =>
  number.pipe(z.number().int().min(min).max(max)).default(fallback);
const duration = (fallback: number, max: number) =>
  number.pipe(z.number().positive().max(max)).default(fallback);
const atLeast0 = (fallback: number, max: number) => number.pipe(z.number().min(0).max(max)).default(fallback);

/** Where a Pulsar is: no user, no query, so that it holds no secret. */
const BROKER_URL = /^(?:pulsar|pulsar\+ssl|wss?):\/\/[^\s/@?#]+(?:\/[^\s@?#]*)?$/;

const databaseUrl = z
  .string()
  .regex(/^postgres(ql)?:\/\//, { error: 'must begin with postgres:// or postgresql://', abort: true })
  // Several are libpq's way of failing over, which node-postgres doesn't know.
  .refine((url) => !/^[a-z]+:\/\/([^/@]*@)?[^/]*,/.test(url), {
    error: 'must name one host: for failover, one name that leads to the primary',
    abort: true,
  })
  // Behind the host an "@" is that of a user or password with a "/", "?" or "#" that was not encoded.
  .regex(/^[a-z]+:\/\/[^/?#]*[^@#]*$/, {
    error: 'must be postgres://USER:PASSWORD@HOST:PORT/DATABASE, special characters percent-encoded',
    abort: true,
  })
  // Without a host (a socket: ?host=/run/postgresql) it is none to URL, but to node-postgres.
  .refine(
    (url) => URL.canParse(url.replace('@/', '@localhost/')),
    'must be postgres://USER:PASSWORD@HOST:PORT/DATABASE, special characters percent-encoded',
  )
  .optional();

/** Every setting: environment variable, check, default. The README's table says what each means. */
const schema = z.object({
  DATABASE_URL: databaseUrl,
  DATABASE_SESSION_URL: databaseUrl,
  PARTICIPANT_ISPB: z
    .string()
    .default('')
    // Each once: twice named, a participant's schedule would be ticked twice.
    .transform((text) => [
      ...new Set(
        text
          .split(',')
          .map((part) => part.trim())
          .filter((part) => part !== ''),
      ),
    ])
    .pipe(z.array(z.string().regex(/^[0-9]{8}$/, 'each ISPB has 8 digits'))),
  BRIDGE_ADDRESS: z
    .string()
    .regex(/^[^\s/]+:\d{1,5}$/, { error: 'must be host:port', abort: true })
    .refine((address) => Number(/\d+$/.exec(address)) <= 65_535, 'must be host:port')
    .optional(),
  BRIDGE_TLS_CA: z.string().optional(),
  BRIDGE_TLS_CERT: z.string().optional(),
  BRIDGE_TLS_KEY: z.string().optional(),
  BRIDGE_TLS_SERVER_NAME: z.string().optional(),
  MANUAL_APPROVAL_THRESHOLD: flag(100, 0, 1_000_000_000),
  APPROVAL_FRESH_MINUTES: duration(60, 10_080),
  IN_FLIGHT_MARGIN_SECONDS: atLeast0(30, 3600),
  EVENT_LOG_MAX_HOURS: atLeast0(36, 8760),
  NOK_RECHECK_SECONDS: duration(3, 600),
  FILE_POLL_SECONDS: duration(10, 600),
  REPAIR_MAX_HOURS: duration(24, 8760),
  SCAN_MAX_AGE_HOURS: duration(24, 8760),
  SYNC_DEADLINE_HOURS: duration(36, 8760),
  RETENTION_RUN_DAYS: flag(90, 0, 36_500),
  RETENTION_AUDIT_DAYS: flag(0, 0, 36_500).refine(
    (days) => days === 0 || days >= 730,
    'must be 0 (for ever) or at least 730: an auditor may ask for last year',
  ),
  GRAPHILE_WORKER_SCHEMA: z
    .string()
    .regex(/^[a-z_][a-z0-9_]{0,62}$/, 'must be a plain lowercase schema name')
    .regex(
      /^(?!pg_|(information_schema|workflow|dict)$)/,
      "must be a schema of its own, not Postgres' or ours",
    )
    .default('graphile_worker'),
  WORKER_CONCURRENCY: flag(10, 1, 100),
  CHORE_TIMEOUT_SECONDS: duration(30, 3600),
  CRONTAB: z.string().optional(),
  TEMP_DIR: z.string().default(join(tmpdir(), 'dict-vsync')),
  HTTP_HOST: z.string().default('127.0.0.1'),
  HTTP_PORT: flag(9464, 0, 65_535),
  NOTIFY_URL: z
    .string()
    .regex(
      new RegExp(`^postgres:$|${BROKER_URL.source}`),
      'must be postgres:, or pulsar://HOST:PORT, pulsar+ssl://, ws:// or wss:// (a token belongs in NOTIFY_TOKEN)',
    )
    .default('postgres:'),
  NOTIFY_TOPIC: z
    .string()
    .regex(
      /^(non-)?persistent:\/\/([\w=:.-]|\{participant\}|\{keyType\})+(\/([\w=:.-]|\{participant\}|\{keyType\})+){2}$/,
      'must be persistent://TENANT/NAMESPACE/TOPIC, with {participant} and {keyType} where they are wanted',
    )
    .default('persistent://public/default/dict-vsync'),
  NOTIFY_TOKEN: z.string().optional(),
  NOTIFY_TOKEN_FILE: z.string().optional(),
  NOTIFY_TLS_CA: z.string().optional(),
  NOTIFY_TLS_CERT: z.string().optional(),
  NOTIFY_TLS_KEY: z.string().optional(),
  NOTIFY_CONTENT: z.enum(['full', 'references']).default('full'),
  OUTBOX_RETENTION_DAYS: duration(30, 3650),
  KEY_EVENTS_URL: z
    .string()
    .regex(
      BROKER_URL,
      'must be ws://HOST:PORT, wss://, pulsar:// or pulsar+ssl:// (a token belongs in NOTIFY_TOKEN)',
    )
    .optional(),
  KEY_EVENTS_TOPIC: z.string().optional(),
  KEY_EVENTS_SUBSCRIPTION: z
    .string()
    .regex(/^[\w.-]{1,100}$/, 'must be letters, digits, ".", "_" and "-"')
    .default('dict-vsync'),
  KEY_EVENTS_DEAD_LETTER_TOPIC: z.string().optional(),
  KEY_EVENTS_RETENTION_DAYS: duration(30, 3650),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
});

export type Settings = z.output<typeof schema>;

/** Names of all settings, for the documentation's check. */
export const SETTING_NAMES = Object.keys(schema.shape);

/**
 * Reads the settings from an environment. All problems are reported at once: DV_SETTINGS_INVALID, which
 * names each setting and what is wrong with it, never its value (DATABASE_URL holds a password).
 */
export function readSettings(environment: Record<string, string | undefined>): Settings {
  const given = Object.fromEntries(
    SETTING_NAMES.map((name) => [name, environment[name] === '' ? undefined : environment[name]]),
  );
  const parsed = schema.safeParse(given);
  const problems = parsed.success
    ? []
    : parsed.error.issues.map(({ path, message }) => `${String(path[0])}: ${message}`);
  if (given['DATABASE_SESSION_URL'] !== undefined && given['DATABASE_URL'] === undefined) {
    problems.push('DATABASE_SESSION_URL: has no meaning without DATABASE_URL');
  }
  if ((given['BRIDGE_TLS_CERT'] === undefined) !== (given['BRIDGE_TLS_KEY'] === undefined)) {
    problems.push('BRIDGE_TLS_CERT and BRIDGE_TLS_KEY: give both or neither');
  }
  if (given['BRIDGE_TLS_CERT'] !== undefined && given['BRIDGE_TLS_CA'] === undefined) {
    problems.push('BRIDGE_TLS_CA: needed with BRIDGE_TLS_CERT');
  }
  if (given['BRIDGE_TLS_SERVER_NAME'] !== undefined && given['BRIDGE_TLS_CA'] === undefined) {
    problems.push('BRIDGE_TLS_SERVER_NAME: has no meaning without BRIDGE_TLS_CA');
  }
  problems.push(...notifyProblems(given));
  if (given['KEY_EVENTS_URL'] !== undefined && given['KEY_EVENTS_TOPIC'] === undefined) {
    problems.push('KEY_EVENTS_TOPIC: needed with KEY_EVENTS_URL');
  }
  if (!parsed.success || problems.length > 0) {
    throw new DvError('DV_SETTINGS_INVALID', `The settings are not usable. ${problems.join('. ')}.`);
  }
  return parsed.data;
}

/** What is wrong with the settings of the way to Core-Dict together. */
function notifyProblems(given: Record<string, string | undefined>): string[] {
  const problems: string[] = [];
  const has = (name: string): boolean => given[`NOTIFY_${name}`] !== undefined;
  if (has('TOKEN') && has('TOKEN_FILE'))
    problems.push('NOTIFY_TOKEN and NOTIFY_TOKEN_FILE: give one of them');
  if (has('TLS_CERT') !== has('TLS_KEY'))
    problems.push('NOTIFY_TLS_CERT and NOTIFY_TLS_KEY: give both or neither');
  const tls = ['NOTIFY_URL', 'KEY_EVENTS_URL'].some((name) => /^(wss|pulsar\+ssl):/.test(given[name] ?? ''));
  if (has('TLS_CA') && !tls) {
    problems.push(
      'NOTIFY_TLS_CA: has no meaning unless NOTIFY_URL or KEY_EVENTS_URL is wss:// or pulsar+ssl://',
    );
  }
  return problems;
}

/** The Bridge's TLS material, read from the files the settings name; undefined without TLS. DV_SETTINGS_INVALID. */
export function readBridgeTls(
  settings: Settings,
):
  | { ca: Buffer; cert: Buffer | undefined; key: Buffer | undefined; serverName: string | undefined }
  | undefined {
  if (settings.BRIDGE_TLS_CA === undefined) return undefined;
  const read = (name: 'BRIDGE_TLS_CA' | 'BRIDGE_TLS_CERT' | 'BRIDGE_TLS_KEY', path: string) => {
    try {
      return readFileSync(path);
    } catch (cause) {
      throw new DvError('DV_SETTINGS_INVALID', `The file that ${name} names cannot be read.`, { cause });
    }
  };
  return {
    ca: read('BRIDGE_TLS_CA', settings.BRIDGE_TLS_CA),
    cert:
      settings.BRIDGE_TLS_CERT === undefined ? undefined : read('BRIDGE_TLS_CERT', settings.BRIDGE_TLS_CERT),
    key: settings.BRIDGE_TLS_KEY === undefined ? undefined : read('BRIDGE_TLS_KEY', settings.BRIDGE_TLS_KEY),
    serverName: settings.BRIDGE_TLS_SERVER_NAME,
  };
}
