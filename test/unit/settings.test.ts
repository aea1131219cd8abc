import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readBridgeTls, readSettings, SETTING_NAMES } from '../../src/settings.ts';
import { DvError } from '../../src/errors/dv-error.ts';

/** The error that reading these settings throws. */
function refusal(environment: Record<string, string>): DvError {
  try {
    readSettings(environment);
  } catch (error) {
    if (error instanceof DvError && error.exit === 2) return error;
    throw error;
  }
  throw new Error('the settings were accepted');
}

test('everything has a default except the addresses of the database and the Bridge', () => {
  expect(readSettings({})).toEqual({
    PARTICIPANT_ISPB: [],
    MANUAL_APPROVAL_THRESHOLD: 100,
    APPROVAL_DAILY_KEYS: 200,
    APPROVAL_BASE_PERCENT: 1,
    APPROVAL_OWNER_CHANGES: 1,
    APPROVAL_LOOKUPS_MAX: 5000,
    APPROVAL_FRESH_MINUTES: 60,
    IN_FLIGHT_MARGIN_SECONDS: 30,
    EVENT_LOG_MAX_HOURS: 36,
    NOK_RECHECK_SECONDS: 3,
    FILE_POLL_SECONDS: 10,
    FILE_WAIT_MINUTES: 10,
    LATE_FILE_MAX_HOURS: 6,
    FILE_ALLOWED_MEGABYTES: 2048,
    REPAIR_MAX_HOURS: 24,
    SCAN_MAX_AGE_HOURS: 24,
    SYNC_DEADLINE_HOURS: 36,
    WARN_AFTER_HOURS: 24,
    APPROVAL_WARN_HOURS: 1,
    RETRY_MINUTES: '5,15,30,60',
    RETENTION_RUN_DAYS: 90,
    RETENTION_AUDIT_DAYS: 0,
    GRAPHILE_WORKER_SCHEMA: 'graphile_worker',
    WORKER_CONCURRENCY: 10,
    CHORE_TIMEOUT_SECONDS: 30,
    TEMP_DIR: join(tmpdir(), 'dict-vsync'),
    HTTP_HOST: '127.0.0.1',
    HTTP_PORT: 9464,
    NOTIFY_URL: 'postgres:',
    NOTIFY_TOPIC: 'persistent://public/default/dict-vsync',
    NOTIFY_CONTENT: 'full',
    ALERT_FORMAT: 'json',
    OUTBOX_RETENTION_DAYS: 30,
    KEY_EVENTS_SUBSCRIPTION: 'dict-vsync',
    KEY_EVENTS_RETENTION_DAYS: 30,
    LOG_LEVEL: 'info',
  });
});

test.each([
  [{ ALERT_URL: 'ftp://host/SECRET' }, 'ALERT_URL: must be http'],
  [{ ALERT_URL: 'https://ana:SECRET@host/' }, 'ALERT_URL: must be http'],
  [{ ALERT_URL: 'https://ho st/SECRET' }, 'ALERT_URL: must be http'],
  [{ ALERT_FORMAT: 'slack' }, 'ALERT_URL: must be set when'],
  [{ ALERT_URL: 'https://host/SECRET', ALERT_FORMAT: 'teams' }, 'ALERT_FORMAT: '],
  [{ ALERT_URL: 'https://host/SECRET', ALERT_FORMAT: 'pagerduty' }, 'ALERT_PAGERDUTY_KEY: must be set when'],
  [
    { ALERT_URL: 'https://host/SECRET', ALERT_PAGERDUTY_KEY: 'SECRET' },
    'ALERT_PAGERDUTY_KEY: must be set when',
  ],
  [
    { ALERT_URL: 'https://host/', ALERT_FORMAT: 'pagerduty', ALERT_PAGERDUTY_KEY: 'SECRET SECRET' },
    'ALERT_PAGERDUTY_KEY: must be letters',
  ],
])('the settings of alerts %j are refused, without their values', (environment, problem) => {
  const { message } = refusal(environment);
  expect(message).toContain(problem);
  expect(message).not.toContain('SECRET');
});

test.each([
  { ALERT_URL: 'https://hooks.slack.com/services/T/B/x', ALERT_FORMAT: 'slack' },
  {
    ALERT_URL: 'https://events.pagerduty.com/v2/enqueue',
    ALERT_FORMAT: 'pagerduty',
    ALERT_PAGERDUTY_KEY: 'abc',
  },
  { ALERT_URL: 'http://10.0.0.1:8080/alerts?to=oncall' },
])('the settings of alerts %j are accepted', (environment) => {
  expect(readSettings(environment as Record<string, string>)).toMatchObject(environment);
});

test('an empty variable counts as not set, and variables of other programs are ignored', () => {
  const empty = Object.fromEntries(SETTING_NAMES.map((name) => [name, '']));
  expect(readSettings({ ...empty, PATH: '/bin', HTTP_PORTS: 'x' })).toEqual(readSettings({}));
});

test.each([
  'postgres://db/x',
  'postgresql://bank:p%40ss@db.example:6432/x?sslmode=verify-full',
  'postgres://bank:pw@/x?host=/run/postgresql',
  'postgres:///x?host=/run/postgresql',
  'postgres://bank@[::1]:5432/x',
])('DATABASE_URL may be %s', (url) => {
  expect(readSettings({ DATABASE_URL: url }).DATABASE_URL).toBe(url);
});

test.each([
  'postgres:',
  'pulsar://pulsar.example:6650',
  'pulsar+ssl://a.example:6651,b.example:6651',
  'ws://[::1]:8080',
  'wss://proxy.example/pulsar/',
])('NOTIFY_URL may be %s', (url) => {
  expect(readSettings({ NOTIFY_URL: url }).NOTIFY_URL).toBe(url);
});

test.each(['postgres://db', 'ws:', 'ws://token@host', 'wss://host?token=x', 'http://host:8080'])(
  'NOTIFY_URL may not be %s',
  (url) => {
    expect(refusal({ NOTIFY_URL: url }).message).toContain('NOTIFY_URL: must be');
  },
);

test('NOTIFY_TOPIC may contain the participant and the key type, and nothing else in braces', () => {
  const topic = 'persistent://bank/dict-{participant}/vsync.{keyType}';
  expect(readSettings({ NOTIFY_TOPIC: topic }).NOTIFY_TOPIC).toBe(topic);
  expect(refusal({ NOTIFY_TOPIC: 'persistent://bank/dict/{key}' }).message).toContain(
    'NOTIFY_TOPIC: must be',
  );
});

test('numbers are read as numbers', () => {
  const settings = readSettings({ HTTP_PORT: '0', MANUAL_APPROVAL_THRESHOLD: '0', REPAIR_MAX_HOURS: '1.5' });
  expect(settings).toMatchObject({ HTTP_PORT: 0, MANUAL_APPROVAL_THRESHOLD: 0, REPAIR_MAX_HOURS: 1.5 });
});

describe('PARTICIPANT_ISPB', () => {
  test('accepts one or several, ignores spaces around the commas, keeps zeros, each once, in the given order', () => {
    const read = (text: string) => readSettings({ PARTICIPANT_ISPB: text }).PARTICIPANT_ISPB;
    expect(read('00000001')).toEqual(['00000001']);
    expect(read(' 12345678, 00000001 ,12345678,')).toEqual(['12345678', '00000001']);
  });

  test.each(['1234567', '123456789', '1234567a', '12345678;00000001', '１２３４５６７８'])(
    'refuses %s',
    (text) => {
      expect(refusal({ PARTICIPANT_ISPB: `00000001,${text}` }).message).toContain(
        'PARTICIPANT_ISPB: each ISPB has 8 digits',
      );
    },
  );
});

test.each(['postgres://a:5432,b:5432/x', 'postgres://bank:p,w@a,b/x'])(
  'only one host is allowed, because failover needs a name that leads to the primary (%s)',
  (url) => {
    expect(refusal({ DATABASE_URL: url }).message).toContain('DATABASE_URL: must name one host');
  },
);

test('a pooled URL requires a session URL', () => {
  expect(refusal({ DATABASE_SESSION_URL: 'postgres://db/x' }).message).toContain(
    'DATABASE_SESSION_URL: can only be set together with DATABASE_URL',
  );
});

test('what an auditor asks for is kept for at least two years', () => {
  expect(readSettings({ RETENTION_AUDIT_DAYS: '730' }).RETENTION_AUDIT_DAYS).toBe(730);
  expect(refusal({ RETENTION_AUDIT_DAYS: '729' }).message).toContain('RETENTION_AUDIT_DAYS: must be 0');
});

test.each(['0', '60', '5,15,30,60', '1.5, 1440'])('RETRY_MINUTES may be %s', (minutes) => {
  expect(readSettings({ RETRY_MINUTES: minutes }).RETRY_MINUTES).toBe(minutes);
});

test.each(['5,0', '0.5', '5,1441', '5,,15', '-5', '5 15', Array(21).fill('5').join(',')])(
  'RETRY_MINUTES may not be %s',
  (minutes) => {
    expect(refusal({ RETRY_MINUTES: minutes }).message).toMatch(/RETRY_MINUTES: (each number )?must be/);
  },
);

test('all problems are reported together, each by its name', () => {
  const error = refusal({
    DATABASE_URL: 'mysql://localhost/x',
    PARTICIPANT_ISPB: '123',
    BRIDGE_ADDRESS: 'bridge',
    BRIDGE_TLS_KEY: 'key.pem',
    BRIDGE_TLS_SERVER_NAME: 'bridge',
    MANUAL_APPROVAL_THRESHOLD: '-1',
    APPROVAL_FRESH_MINUTES: '0',
    REPAIR_MAX_HOURS: 'never',
    SCAN_MAX_AGE_HOURS: '1e9',
    GRAPHILE_WORKER_SCHEMA: 'a; drop',
    WORKER_CONCURRENCY: '1.5',
    HTTP_PORT: '65536',
    NOTIFY_URL: 'kafka://x',
    NOTIFY_TOPIC: 'dict-vsync',
    NOTIFY_TLS_CA: 'ca.pem',
    NOTIFY_TLS_KEY: 'key.pem',
    NOTIFY_TOKEN: 'secret',
    NOTIFY_TOKEN_FILE: 'token',
    KEY_EVENTS_URL: 'http://x',
    KEY_EVENTS_SUBSCRIPTION: 'a/b',
    KEY_EVENTS_RETENTION_DAYS: '0',
    LOG_LEVEL: 'loud',
  });
  expect(error.code).toBe('DV_SETTINGS_INVALID');
  for (const name of [
    'DATABASE_URL: must begin with postgres://',
    'PARTICIPANT_ISPB: each ISPB',
    'BRIDGE_ADDRESS: must be host:port',
    'BRIDGE_TLS_CERT and BRIDGE_TLS_KEY: set both or neither',
    'BRIDGE_TLS_SERVER_NAME: can only be set together with BRIDGE_TLS_CA',
    'MANUAL_APPROVAL_THRESHOLD: ',
    'APPROVAL_FRESH_MINUTES: ',
    'REPAIR_MAX_HOURS: ',
    'SCAN_MAX_AGE_HOURS: ',
    'GRAPHILE_WORKER_SCHEMA: must be a plain lowercase schema name',
    'WORKER_CONCURRENCY: ',
    'HTTP_PORT: ',
    'NOTIFY_URL: must be postgres:, or pulsar://HOST:PORT',
    'NOTIFY_TOPIC: must be persistent://',
    'NOTIFY_TOKEN and NOTIFY_TOKEN_FILE: set only one of them',
    'NOTIFY_TLS_CERT and NOTIFY_TLS_KEY: set both or neither',
    'NOTIFY_TLS_CA: can only be set when NOTIFY_URL or KEY_EVENTS_URL begins with wss://',
    'KEY_EVENTS_URL: must be ws://HOST:PORT',
    'KEY_EVENTS_TOPIC: must be set when KEY_EVENTS_URL is set',
    'KEY_EVENTS_SUBSCRIPTION: ',
    'KEY_EVENTS_RETENTION_DAYS: ',
    'LOG_LEVEL: ',
  ]) {
    expect(error.message).toContain(name);
  }
});

describe('contradictory TLS settings', () => {
  const CA = 'BRIDGE_TLS_CA';
  const CERT = 'BRIDGE_TLS_CERT';
  const KEY = 'BRIDGE_TLS_KEY';
  const NAME = 'BRIDGE_TLS_SERVER_NAME';

  test.each([
    [[CERT], 'set both or neither'],
    [[KEY], 'set both or neither'],
    [[CA, CERT], 'set both or neither'],
    [[CA, KEY], 'set both or neither'],
    [[CERT, KEY], 'BRIDGE_TLS_CA: must be set when BRIDGE_TLS_CERT is set'],
    [[NAME], 'BRIDGE_TLS_SERVER_NAME: can only be set together with BRIDGE_TLS_CA'],
  ])('%j is refused', (names, problem) => {
    expect(refusal(Object.fromEntries(names.map((name) => [name, 'x']))).message).toContain(problem);
  });

  test.each([[[]], [[CA]], [[CA, NAME]], [[CA, CERT, KEY]], [[CA, CERT, KEY, NAME]]])(
    '%j is accepted',
    (names) => {
      const given = Object.fromEntries(names.map((name) => [name, 'x']));
      expect(readSettings(given)).toMatchObject(given);
    },
  );
});

describe("the Bridge's TLS files", () => {
  test('are read; without a CA there is no TLS', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'dict-vsync-tls-'));
    const path = (name: string) => join(directory, name);
    for (const name of ['ca', 'cert', 'key']) await writeFile(path(name), `the ${name}`);
    expect(readBridgeTls(readSettings({}))).toBeUndefined();
    expect(readBridgeTls(readSettings({ BRIDGE_TLS_CA: path('ca') }))).toEqual({ ca: Buffer.from('the ca') });
    const all = {
      BRIDGE_TLS_CA: path('ca'),
      BRIDGE_TLS_CERT: path('cert'),
      BRIDGE_TLS_KEY: path('key'),
      BRIDGE_TLS_SERVER_NAME: 'bridge.example',
    };
    expect(readBridgeTls(readSettings(all))).toEqual({
      ca: Buffer.from('the ca'),
      cert: Buffer.from('the cert'),
      key: Buffer.from('the key'),
      serverName: 'bridge.example',
    });
    const lost = readSettings({ ...all, BRIDGE_TLS_KEY: path('no such') });
    expect(() => readBridgeTls(lost)).toThrow(
      expect.objectContaining({
        code: 'DV_SETTINGS_INVALID',
        message: 'The file named by BRIDGE_TLS_KEY cannot be read.',
      }) as Error,
    );
    await rm(directory, { recursive: true });
  });
});

describe('values are never in the text of an error', () => {
  test('whatever value any setting has', () => {
    const value = fc.stringMatching(/^[#-~]{12,30}$/).map((text) => `${text}§`);
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...SETTING_NAMES), value, { minKeys: 1 }), (given) => {
        let text = '';
        try {
          readSettings(given);
        } catch (error) {
          text = JSON.stringify(error, Object.getOwnPropertyNames(error)) + String(error);
        }
        for (const secret of Object.values(given)) expect(text).not.toContain(secret);
      }),
    );
  });

  test('a malformed DATABASE_URL is refused without its password', () => {
    for (const url of [
      'bank:hunter2@db/x',
      'postgre://bank:hunter2@db/x',
      'postgres://bank:hunter2@db:99999/x',
      'postgres://bank:hunter2@[db/x',
      'postgres://bank:hunter2/3@db/x',
      'postgres://bank:1/hunter2@db/x',
      'postgres://bank:1?hunter2@db/x',
      'postgres://bank:1#hunter2',
    ]) {
      const error = refusal({ DATABASE_URL: url });
      expect(error.message).toMatch(/DATABASE_URL: must (begin with|be) postgres:/);
      expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('hunter2');
    }
  });
});
