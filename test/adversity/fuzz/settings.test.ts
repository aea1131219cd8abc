import { inspect } from 'node:util';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readSettings, SETTING_NAMES, type Settings } from '../../../src/settings.ts';
import { assertReachable } from '../../../src/database/pool.ts';
import { DvError } from '../../../src/errors/dv-error.ts';
import { FUZZ_TIMEOUT, fuzzing } from './support.ts';

/** A valid value of each setting that does not accept any text. */
const VALID: Record<string, string> = {
  DATABASE_URL: 'postgres://bank:pw@db.example:6432/x?sslmode=verify-full',
  DATABASE_SESSION_URL: 'postgres://bank:pw@db.example:5432/x',
  PARTICIPANT_ISPB: '12345678,00000001',
  BRIDGE_ADDRESS: 'bridge.internal:50051',
  GRAPHILE_WORKER_SCHEMA: 'graphile_worker',
  NOTIFY_URL: 'pulsar+ssl://a.example:6651',
  NOTIFY_TOPIC: 'persistent://bank/dict-{participant}/vsync.{keyType}',
  NOTIFY_CONTENT: 'references',
  KEY_EVENTS_URL: 'wss://proxy.example/pulsar',
  KEY_EVENTS_SUBSCRIPTION: 'dict-vsync',
  LOG_LEVEL: 'info',
};
const NUMBERS = ['0', '1', '10', '30.5', '730', '65535'];
const ODD = [
  '',
  ' ',
  '\t',
  '-0',
  '+1',
  '1e3',
  '0x10',
  '1e400',
  'NaN',
  'Infinity',
  '१२',
  '1,5',
  '1 ',
  '\u0000',
  '\n',
  '§',
  '{}',
];
const SECRET = 'hunter2';

/** A setting's value: a valid one, changed a little; or any text. */
const valueOf = (name: string) => {
  const near = fc
    .tuple(
      fc.constantFrom(VALID[name] ?? 'x', ...NUMBERS),
      fc.nat(80),
      fc.nat(3),
      fc.constantFrom(...ODD, '@', ':', '/', '%', '#', '?'),
    )
    .map(([valid, at, cut, put]) => valid.slice(0, at) + put + valid.slice(at + cut));
  return fc.oneof(
    fc.constantFrom(VALID[name] ?? 'x', ...NUMBERS, ...ODD),
    near,
    fc.string({ unit: 'binary' }),
    fc.string(),
  );
};

/** The settings, or the refusal: there is no third result. */
function read(given: Record<string, string>): Settings | DvError {
  try {
    return readSettings(given);
  } catch (error) {
    if (!(error instanceof DvError)) throw error;
    expect(error).toMatchObject({ code: 'DV_SETTINGS_INVALID', exit: 2 });
    expect(error.message).not.toMatch(/\n\s+at /);
    return error;
  }
}

/** What must be true of accepted settings, whatever was given. */
function expectUsable(settings: Settings): void {
  for (const [name, value] of Object.entries(settings)) {
    if (typeof value === 'number') expect([name, Number.isFinite(value)]).toEqual([name, true]);
    else if (name === 'PARTICIPANT_ISPB') for (const ispb of value ?? []) expect(ispb).toMatch(/^\d{8}$/);
    else if (value !== undefined) expect([name, typeof value]).toEqual([name, 'string']);
  }
  expect(settings.HTTP_PORT).toBeLessThanOrEqual(65_535);
  expect(settings.WORKER_CONCURRENCY).toBeGreaterThan(0);
  expect(settings.GRAPHILE_WORKER_SCHEMA).not.toMatch(/^(pg_.*|workflow|dict)$/);
}

test.each(SETTING_NAMES)("any value of %s is used, or refused by the setting's name", (name) => {
  fc.assert(
    fc.property(valueOf(name), (value) => {
      const answer = read({ [name]: value });
      if (answer instanceof DvError) expect(answer.message).toContain(name);
      else expectUsable(answer);
    }),
    fuzzing(300),
  );
});

test('a number is what is written, or refused: a blank is not 0', () => {
  const numeric = SETTING_NAMES.filter(
    (name) => typeof (readSettings({}) as Record<string, unknown>)[name] === 'number',
  );
  for (const name of numeric) {
    for (const text of [' ', '\t', '0x10', '1e1', '१', '1,5', '--1', '.']) {
      expect(read({ [name]: text })).toMatchObject({
        message: expect.stringContaining(`${name}: must be`) as string,
      });
    }
  }
});

test('several wrong settings are each named, and no value is shown', () => {
  const given = fc
    .subarray(SETTING_NAMES, { minLength: 1 })
    .chain((names) =>
      fc.tuple(...names.map((name) => fc.tuple(fc.constant(name), valueOf(name), fc.nat(60)))),
    )
    .map((all) =>
      Object.fromEntries(
        all.map(([name, value, at]) => [name, value.slice(0, at) + SECRET + value.slice(at)]),
      ),
    );
  fc.assert(
    fc.property(given, (settings) => {
      const answer = read(settings);
      if (!(answer instanceof DvError)) return expectUsable(answer);
      expect(inspect(answer, { depth: 9, showHidden: true })).not.toContain(SECRET);
      for (const [name, value] of Object.entries(settings)) {
        if (typeof (readSettings({}) as Record<string, unknown>)[name] === 'number') {
          // The secret is not a number.
          expect([value, answer.message.includes(name)]).toEqual([value, true]);
        }
      }
      return undefined;
    }),
    fuzzing(1000),
  );
});

test(
  'if an accepted database URL fails, it fails with a coded error that does not show the password',
  { timeout: FUZZ_TIMEOUT },
  async () => {
    const part = fc.oneof(
      fc.constantFrom('', 'x', '%', '%41', 'a/b', 'a#b', 'a?b', 'é', ' ', '[', ']', '\\', ';'),
      fc.string({ maxLength: 8 }),
    );
    const parameter = fc.constantFrom(
      '',
      '?sslmode=disable',
      '?sslmode=nonsense',
      '?sslrootcert=/nowhere',
      '?port=1',
      '?host=/nowhere',
      '?application_name=%',
      '?options=-c%20x',
      '?x=y&&&',
    );
    await fc.assert(
      fc.asyncProperty(part, part, part, parameter, async (user, password, name, more) => {
        // Nobody listens there.
        const url = `postgres://${user}:${password}${SECRET}@127.0.0.1:1/${name}${more}`;
        const settings = read({ DATABASE_URL: url });
        if (settings instanceof DvError) {
          expect(inspect(settings, { depth: 9, showHidden: true })).not.toContain(SECRET);
          return;
        }
        const error: unknown = await assertReachable(url).catch((thrown: unknown) => thrown);
        expect(error).toBeInstanceOf(DvError);
        expect((error as DvError).code).toMatch(/^DV_DATABASE_/);
        expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(SECRET);
      }),
      fuzzing(300),
    );
  },
);
