// Longer than other files, because each setting stands here once: its name, its rule, its default and its description.
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { DvError } from './errors/dv-error.ts';

// Not coerced: JavaScript reads a blank as 0, and for some settings 0 has a meaning of its own.
const number = z
  .string()
  .regex(/^-?\d+(\.\d+)?$/, 'must be a plain number')
  .transform(Number);
const upTo = (max: number): string => max.toLocaleString('en');
const flag = (fallback: number, min: number, max: number) =>
  number
    .pipe(z.number().int().min(min).max(max))
    .default(fallback)
    .meta({ accepts: `a whole number from ${min} to ${upTo(max)}` });
const duration = (fallback: number, max: number) =>
  number
    .pipe(z.number().positive().max(max))
    .default(fallback)
    .meta({ accepts: `more than 0, up to ${upTo(max)}` });
const minutes = (fallback: string, max: number) =>
  z
    .string()
    .regex(/^\d+(\.\d+)?( *, *\d+(\.\d+)?){0,19}$/, {
      error: 'must be up to 20 plain numbers, separated by commas',
      abort: true,
    })
    .refine(
      (text) => text === '0' || text.split(',').every((part) => Number(part) >= 1 && Number(part) <= max),
      `each number must be from 1 to ${upTo(max)}; 0 alone switches retries off`,
    )
    .default(fallback)
    .meta({ accepts: `0, or up to 20 numbers from 1 to ${upTo(max)}, separated by commas` });
const atLeast0 = (fallback: number, max: number) =>
  number
    .pipe(z.number().min(0).max(max))
    .default(fallback)
    .meta({ accepts: `0 to ${upTo(max)}` });

/** URL of a Pulsar. It has no user and no query, so that it contains no secret. */
const BROKER_URL = /^(?:pulsar|pulsar\+ssl|wss?):\/\/[^\s/@?#]+(?:\/[^\s@?#]*)?$/;

const databaseUrl = z
  .string()
  .regex(/^postgres(ql)?:\/\//, { error: 'must begin with postgres:// or postgresql://', abort: true })
  // Several hosts are how libpq fails over. node-postgres does not support that.
  .refine((url) => !/^[a-z]+:\/\/([^/@]*@)?[^/]*,/.test(url), {
    error: 'must name one host: for failover, one name that leads to the primary',
    abort: true,
  })
  // An "@" after the host means that the user or the password has a "/", "?" or "#" that was not encoded.
  .regex(/^[a-z]+:\/\/[^/?#]*[^@#]*$/, {
    error: 'must be postgres://USER:PASSWORD@HOST:PORT/DATABASE, special characters percent-encoded',
    abort: true,
  })
  // A URL without a host (a socket: ?host=/run/postgresql) is valid for node-postgres, but not for URL.
  .refine(
    (url) => URL.canParse(url.replace('@/', '@localhost/')),
    'must be postgres://USER:PASSWORD@HOST:PORT/DATABASE, special characters percent-encoded',
  )
  .optional();

/**
 * Every setting: environment variable, check, default, and what it means. docs/reference/settings.md is generated from
 * this (build/docs/settings.ts): `accepts` says which values are allowed, `unset` what applies without the variable.
 */
const schema = z.object({
  DATABASE_URL: databaseUrl.meta({
    description:
      "The institution's Postgres, as postgres://USER:PASSWORD@HOST:PORT/DATABASE, with exactly one host.",
    unset: 'an embedded Postgres (npm installation only)',
  }),
  DATABASE_SESSION_URL: databaseUrl.meta({
    description:
      'The same database without a transaction pooler in between, for the queue, the chores and the migrations.',
    unset: 'same as DATABASE_URL',
  }),
  PARTICIPANT_ISPB: z
    .string()
    .default('')
    // Without duplicates: a participant that is named twice would have each tick twice.
    .transform((text) => [
      ...new Set(
        text
          .split(',')
          .map((part) => part.trim())
          .filter((part) => part !== ''),
      ),
    ])
    .pipe(z.array(z.string().regex(/^[0-9]{8}$/, 'each ISPB has 8 digits')))
    .describe('The participants to keep in sync: 8 digits each, separated by commas. The worker needs it.'),
  BRIDGE_ADDRESS: z
    .string()
    .regex(/^[^\s/]+:\d{1,5}$/, { error: 'must be host:port', abort: true })
    .refine((address) => Number(/\d+$/.exec(address)) <= 65_535, 'must be host:port')
    .optional()
    .describe('HOST:PORT of the gRPC Bridge. The worker needs it.'),
  BRIDGE_TLS_CA: z
    .string()
    .optional()
    .describe("PEM file of the CA of the Bridge's certificate. With it the connection uses TLS."),
  BRIDGE_TLS_CERT: z.string().optional().describe('PEM file of our own certificate, for mutual TLS.'),
  BRIDGE_TLS_KEY: z
    .string()
    .optional()
    .describe('PEM file of the private key of our own certificate, for mutual TLS.'),
  BRIDGE_TLS_SERVER_NAME: z
    .string()
    .optional()
    .describe(
      "The name to expect in the Bridge's certificate, if it differs from the host in BRIDGE_ADDRESS.",
    ),
  MANUAL_APPROVAL_THRESHOLD: flag(100, 0, 1_000_000_000).describe(
    'If all rounds together find more divergent CIDs than this, a person must approve the repair. A changed key counts as two.',
  ),
  APPROVAL_DAILY_KEYS: flag(200, 0, 1_000_000_000).describe(
    'If a repair makes the keys of a participant and key type that were changed within 24 hours without an approval more than this, a person must approve it.',
  ),
  APPROVAL_BASE_PERCENT: duration(1, 100).describe(
    'If a repair changes more than this percentage of the key base, and more than 20 keys, a person must approve it.',
  ),
  APPROVAL_OWNER_CHANGES: flag(1, 0, 1).describe(
    '1: a repair that changes the owner (tax id) of a key must be approved by a person, whatever the number of keys. 0: it need not.',
  ),
  APPROVAL_LOOKUPS_MAX: flag(5000, 0, 36_000).describe(
    "DICT is asked about every divergent CID before the repair is planned, unless there are more than this. A larger set is approved without DICT's answers.",
  ),
  APPROVAL_FRESH_MINUTES: duration(60, 10_080).describe(
    'If the approval arrives later than this after the comparison, the keys are compared again first.',
  ),
  IN_FLIGHT_MARGIN_SECONDS: atLeast0(30, 3600).describe(
    'A key that changed less than this before the snapshot counts as changed after it.',
  ),
  EVENT_LOG_MAX_HOURS: atLeast0(36, 8760).describe(
    'If the last OK is not older than this, the event logs are replayed instead of requesting a CID file. 0: always request the file.',
  ),
  NOK_RECHECK_SECONDS: duration(3, 600).describe(
    'Pause between reads of the VSync. A NOK counts only after three consecutive reads were NOK.',
  ),
  FILE_POLL_SECONDS: duration(10, 600).describe(
    'Time from requesting a CID file to the first check whether it is available.',
  ),
  FILE_WAIT_MINUTES: duration(10, 1440).describe(
    'If DICT has not made the CID file after this time, the reconciliation fails. A retry looks at that file first.',
  ),
  LATE_FILE_MAX_HOURS: atLeast0(6, 168).describe(
    'A CID file that came too late may be used by a later round if it was requested less than this ago. 0: never.',
  ),
  FILE_ALLOWED_MEGABYTES: duration(2048, 1_000_000).describe(
    'A CID file up to this size is downloaded. A larger one is refused if it is more than four times what the known keys need.',
  ),
  REPAIR_MAX_HOURS: duration(24, 8760).describe(
    "A repair that would take longer than this under DICT's rate limits is refused. The error gives the estimate.",
  ),
  SCAN_MAX_AGE_HOURS: duration(24, 8760).describe(
    'A verification recalculates a VSync from the entries if the last recalculation is older than this.',
  ),
  SYNC_DEADLINE_HOURS: duration(36, 8760).describe(
    'An alert is raised if a participant and key type had no OK for this long.',
  ),
  WARN_AFTER_HOURS: duration(24, 8760).describe(
    'A warning is raised if a participant and key type had no OK for this long.',
  ),
  APPROVAL_WARN_HOURS: duration(1, 8760).describe(
    'A warning is raised if a reconciliation has waited for an approval for this long.',
  ),
  RETRY_MINUTES: minutes('5,15,30,60', 1440).describe(
    'Minutes to the first, second, … automatic retry after a verification or reconciliation that ended without an OK. The last number repeats until there is an OK, or until the next tick of the crontab. 0: no automatic retry.',
  ),
  RETENTION_RUN_DAYS: flag(90, 0, 36_500).describe(
    'Closed runs older than this are removed, with their history. 0: never.',
  ),
  RETENTION_AUDIT_DAYS: flag(0, 0, 36_500)
    .refine(
      (days) => days === 0 || days >= 730,
      'must be 0 (keep for ever) or at least 730: an auditor may ask for last year',
    )
    .meta({
      description: 'Proofs of synchronism and reconciliations older than this are removed. 0: never.',
      accepts: '0, or a whole number from 730 to 36,500',
    }),
  GRAPHILE_WORKER_SCHEMA: z
    .string()
    .regex(/^[a-z_][a-z0-9_]{0,62}$/, 'must be a plain lowercase schema name')
    .regex(
      /^(?!pg_|(information_schema|workflow|dict)$)/,
      'must be a separate schema, not one of Postgres or of dict-vsync',
    )
    .default('graphile_worker')
    .describe(
      'Schema of Graphile Worker. Change it if the database already uses the default name for something else.',
    ),
  WORKER_CONCURRENCY: flag(10, 1, 100).describe('How many runs one worker processes simultaneously.'),
  CHORE_TIMEOUT_SECONDS: duration(30, 3600).describe(
    "A statement of a worker's chores that runs longer than this is cancelled and retried.",
  ),
  CRONTAB: z.string().optional().meta({
    description: 'Path of a crontab file to use instead of the built-in one.',
    unset: 'the built-in one: verification at 03:00 and 15:00 America/Sao_Paulo',
  }),
  TEMP_DIR: z.string().default(join(tmpdir(), 'dict-vsync')).meta({
    description: 'Folder for CID files while they are compared.',
    unset: "dict-vsync in the system's temporary folder",
  }),
  HTTP_HOST: z
    .string()
    .default('127.0.0.1')
    .describe(
      'Address on which the worker serves /livez, /readyz and /metrics. They have no authentication.',
    ),
  HTTP_PORT: flag(9464, 0, 65_535).describe('Port of /livez, /readyz and /metrics. 0: any free port.'),
  NOTIFY_URL: z
    .string()
    .regex(
      new RegExp(`^postgres:$|${BROKER_URL.source}`),
      'must be postgres:, or pulsar://HOST:PORT, pulsar+ssl://, ws:// or wss:// (a token belongs in NOTIFY_TOKEN)',
    )
    .default('postgres:')
    .meta({
      description:
        'The transport of messages to Core-Dict. postgres: writes to the table dict.notifications and sends NOTIFY on the channel dict_vsync. A broker URL publishes to Pulsar.',
      accepts: 'postgres:, pulsar://, pulsar+ssl://, ws://, wss://',
    }),
  NOTIFY_TOPIC: z
    .string()
    .regex(
      /^(non-)?persistent:\/\/([\w=:.-]|\{participant\}|\{keyType\})+(\/([\w=:.-]|\{participant\}|\{keyType\})+){2}$/,
      'must be persistent://TENANT/NAMESPACE/TOPIC, optionally with {participant} and {keyType} in it',
    )
    .default('persistent://public/default/dict-vsync')
    .describe('The Pulsar topic. {participant} and {keyType} in it are replaced by those of the message.'),
  NOTIFY_TOKEN: z.string().optional().describe('The token for the broker.'),
  NOTIFY_TOKEN_FILE: z
    .string()
    .optional()
    .describe('A file with the token for the broker. It is read again for each connection.'),
  NOTIFY_TLS_CA: z.string().optional().meta({
    description: "PEM file of the CA of the broker's certificate, for wss:// and pulsar+ssl://.",
    unset: "the system's CAs",
  }),
  NOTIFY_TLS_CERT: z
    .string()
    .optional()
    .describe('PEM file of our own certificate, for a broker that requires one.'),
  NOTIFY_TLS_KEY: z
    .string()
    .optional()
    .describe('PEM file of the private key of our own certificate, for a broker that requires one.'),
  NOTIFY_CONTENT: z.enum(['full', 'references']).default('full').meta({
    description:
      'With references, messages contain no personal data. Core-Dict looks the content up by the ids in them.',
    accepts: 'full, references',
  }),
  ALERT_URL: z
    .string()
    // Not URL's own error: it would contain the value, and the value may be a secret.
    .refine((url) => /^https?:\/\//.test(url) && URL.canParse(url) && !/^[a-z]+:\/\/[^/?#]*@/.test(url), {
      error: 'must be http://… or https://…, without a user and password',
    })
    .optional()
    .meta({
      description:
        'URL to which warnings are sent by POST when they are raised and cleared, for a person. It may contain a secret, and is never shown.',
      accepts: 'http://…, https://…',
      unset: 'no alerts',
    }),
  ALERT_FORMAT: z.enum(['json', 'slack', 'pagerduty']).default('json').meta({
    description:
      "The format of alerts: JSON of our own, a Slack incoming webhook, or PagerDuty's Events API v2.",
    accepts: 'json, slack, pagerduty',
  }),
  ALERT_PAGERDUTY_KEY: z
    .string()
    .regex(/^[\w-]{1,100}$/, 'must be letters, digits, "_" and "-"')
    .optional()
    .describe("PagerDuty's integration key (routing key), for ALERT_FORMAT pagerduty."),
  OUTBOX_RETENTION_DAYS: duration(30, 3650).describe(
    'Messages delivered longer ago than this are deleted, also from dict.notifications.',
  ),
  KEY_EVENTS_URL: z
    .string()
    .regex(
      BROKER_URL,
      'must be ws://HOST:PORT, wss://, pulsar:// or pulsar+ssl:// (a token belongs in NOTIFY_TOKEN)',
    )
    .optional()
    .meta({
      description:
        'URL of the Pulsar in which the core system publishes its key events. Without it key events are switched off.',
      accepts: 'pulsar://, pulsar+ssl://, ws://, wss://',
    }),
  KEY_EVENTS_TOPIC: z
    .string()
    .optional()
    .describe('The topic of the key events: NAME or persistent://TENANT/NAMESPACE/NAME.'),
  KEY_EVENTS_SUBSCRIPTION: z
    .string()
    .regex(/^[\w.-]{1,100}$/, 'must be letters, digits, ".", "_" and "-"')
    .default('dict-vsync')
    .describe('Name of the subscription to the key events. All workers share it.'),
  KEY_EVENTS_DEAD_LETTER_TOPIC: z.string().optional().meta({
    description: 'The topic to which key events are moved that cannot be used.',
    unset: 'TOPIC-SUBSCRIPTION-DLQ',
  }),
  KEY_EVENTS_RETENTION_DAYS: duration(30, 3650).describe('How long received key events are kept.'),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info').meta({
    description: 'The lowest level that is logged.',
    accepts: 'trace, debug, info, warn, error, fatal, silent',
  }),
});

export type Settings = z.output<typeof schema>;

/** Names of all settings. */
export const SETTING_NAMES = Object.keys(schema.shape);

/** What docs/reference/settings.md says about each setting. */
export interface SettingDescription {
  name: string;
  description: string;
  /** The allowed values, unless any text is allowed. */
  accepts?: string | undefined;
  /** What applies without the variable. */
  unset?: string | undefined;
}

/** Every setting with its description, in the order of the declaration. */
export function describeSettings(): SettingDescription[] {
  return Object.entries(schema.shape).map(([name, type]) => {
    const { description, accepts, unset } = (type.meta() ?? {}) as Partial<SettingDescription>;
    if (description === undefined) throw new Error(`${name} has no description`);
    const fallback = 'defaultValue' in type.def ? String(type.def.defaultValue) : undefined;
    return { name, description, accepts, unset: unset ?? fallback };
  });
}

/**
 * Reads the settings from an environment. Throws one DV_SETTINGS_INVALID for all problems.
 * It names each setting and what is wrong with it, but never its value (DATABASE_URL contains a password).
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
    problems.push('DATABASE_SESSION_URL: can only be set together with DATABASE_URL');
  }
  if ((given['BRIDGE_TLS_CERT'] === undefined) !== (given['BRIDGE_TLS_KEY'] === undefined)) {
    problems.push('BRIDGE_TLS_CERT and BRIDGE_TLS_KEY: set both or neither');
  }
  if (given['BRIDGE_TLS_CERT'] !== undefined && given['BRIDGE_TLS_CA'] === undefined) {
    problems.push('BRIDGE_TLS_CA: must be set when BRIDGE_TLS_CERT is set');
  }
  if (given['BRIDGE_TLS_SERVER_NAME'] !== undefined && given['BRIDGE_TLS_CA'] === undefined) {
    problems.push('BRIDGE_TLS_SERVER_NAME: can only be set together with BRIDGE_TLS_CA');
  }
  problems.push(...notifyProblems(given));
  problems.push(...alertProblems(given));
  if (given['KEY_EVENTS_URL'] !== undefined && given['KEY_EVENTS_TOPIC'] === undefined) {
    problems.push('KEY_EVENTS_TOPIC: must be set when KEY_EVENTS_URL is set');
  }
  if (!parsed.success || problems.length > 0) {
    throw new DvError('DV_SETTINGS_INVALID', `The settings cannot be used. ${problems.join('. ')}.`);
  }
  return parsed.data;
}

/** Problems between settings of the transport to Core-Dict, each of which is valid alone. */
function notifyProblems(given: Record<string, string | undefined>): string[] {
  const problems: string[] = [];
  const has = (name: string): boolean => given[`NOTIFY_${name}`] !== undefined;
  if (has('TOKEN') && has('TOKEN_FILE'))
    problems.push('NOTIFY_TOKEN and NOTIFY_TOKEN_FILE: set only one of them');
  if (has('TLS_CERT') !== has('TLS_KEY'))
    problems.push('NOTIFY_TLS_CERT and NOTIFY_TLS_KEY: set both or neither');
  const tls = ['NOTIFY_URL', 'KEY_EVENTS_URL'].some((name) => /^(wss|pulsar\+ssl):/.test(given[name] ?? ''));
  if (has('TLS_CA') && !tls) {
    problems.push(
      'NOTIFY_TLS_CA: can only be set when NOTIFY_URL or KEY_EVENTS_URL begins with wss:// or pulsar+ssl://',
    );
  }
  return problems;
}

/** Problems between settings of alerts, each of which is valid alone. */
function alertProblems(given: Record<string, string | undefined>): string[] {
  const problems: string[] = [];
  const { ALERT_URL: url, ALERT_FORMAT: format, ALERT_PAGERDUTY_KEY: key } = given;
  if (url === undefined && (format !== undefined || key !== undefined))
    problems.push('ALERT_URL: must be set when ALERT_FORMAT or ALERT_PAGERDUTY_KEY is set');
  if ((format === 'pagerduty') !== (key !== undefined))
    problems.push('ALERT_PAGERDUTY_KEY: must be set when ALERT_FORMAT is pagerduty, and only then');
  return problems;
}

/** Reads the Bridge's TLS files that the settings name. Returns undefined without TLS. Throws DV_SETTINGS_INVALID. */
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
      throw new DvError('DV_SETTINGS_INVALID', `The file named by ${name} cannot be read.`, { cause });
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
