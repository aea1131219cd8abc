import fc from 'fast-check';
import { stripVTControlCharacters } from 'node:util';
import { expect, test } from 'vitest';
import { DvError } from '../../src/errors/dv-error.ts';
import { createLog, type LogOptions } from '../../src/log.ts';

const PERSONAL = [
  'key',
  'taxIdNumber',
  'tax_id_number',
  'name',
  'tradeName',
  'trade_name',
  'accountNumber',
  'account_number',
  'branch',
  'entry',
  'before',
  'after',
];

async function capture(options: Partial<LogOptions> = {}) {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  const log = await createLog({ level: 'info', pretty: false, destination, ...options });
  return {
    log,
    lines,
    last: () => JSON.parse(lines.at(-1) ?? '') as Record<string, unknown>,
  };
}

test('a line is one JSON object with time, service and its fields', async () => {
  const { log, lines, last } = await capture();
  log.info({ participant: '12345678', keyType: 'CPF', attempt: 2 }, 'VSync verified');
  expect(lines).toHaveLength(1);
  expect(last()).toEqual({
    level: 30,
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) as string,
    service: 'dict-vsync',
    participant: '12345678',
    keyType: 'CPF',
    attempt: 2,
    msg: 'VSync verified',
  });
});

test('below its level nothing is logged', async () => {
  const { log, lines } = await capture({ level: 'warn' });
  log.info('no');
  log.warn('yes');
  expect(lines).toHaveLength(1);
});

test('personal data are redacted one to three levels deep, in objects, lists and child bindings', async () => {
  const { log, lines } = await capture();
  const shapes = [
    (secret: object) => secret,
    (secret: object) => ({ a: secret }),
    (secret: object) => ({ a: { b: secret } }),
    (secret: object) => ({ list: [secret] }),
  ];
  fc.assert(
    fc.property(
      fc.constantFrom(...PERSONAL),
      fc.constantFrom(...shapes),
      fc.oneof(
        fc.constant<unknown>('SECRET'),
        fc.constant<unknown>({ deep: { inside: 'SECRET' } }),
        fc.constant<unknown>(['SECRET']),
      ),
      fc.boolean(),
      (field, shape, value, bound) => {
        lines.length = 0;
        const fields = shape({ [field]: value, runId: 'kept' });
        if (bound) log.child(fields).info('message');
        else log.info(fields, 'message');
        expect(lines[0]).not.toContain('SECRET');
        expect(lines[0]).toContain('[personal]');
        expect(lines[0]).toContain('kept');
      },
    ),
  );
});

test('child bindings are in each line of the child and in no other', async () => {
  const { log, last } = await capture();
  const child = log.child({ runId: 'run', correlationId: 'abc' }).child({ activity: 'compare_cids' });
  child.info('one');
  expect(last()).toMatchObject({ runId: 'run', correlationId: 'abc', activity: 'compare_cids', msg: 'one' });
  log.info('two');
  expect(last()).not.toHaveProperty('runId');
});

test("our own error is logged with its code, class, sentence and place, and its cause without the cause's words", async () => {
  const { log, lines, last } = await capture();
  const cause = Object.assign(new Error('invalid input: "SECRET"'), {
    code: '22P02',
    detail: 'Key (key)=(SECRET)',
  });
  const error = new DvError('DV_DATABASE', 'Postgres refused a statement.', {
    class: 'retryable',
    correlationId: 'c-1',
    cause,
  });
  for (const field of ['err', 'error']) {
    log.error({ [field]: error }, 'failed');
    expect(last()[field]).toMatchObject({
      type: 'DvError',
      code: 'DV_DATABASE',
      class: 'retryable',
      message: 'Postgres refused a statement.',
      correlationId: 'c-1',
      cause: { type: 'Error', code: '22P02' },
    });
    expect(JSON.stringify(last()[field])).toContain('log.test.ts');
  }
  log.error(error);
  expect(last()['msg']).toBe('Postgres refused a statement.');
  expect(lines.join('')).not.toContain('SECRET');
});

test("the words of somebody else's error are never logged", async () => {
  const { log, lines, last } = await capture();
  const error = new TypeError('cannot read SECRET');
  log.error(error);
  expect(last()).toMatchObject({ msg: 'TypeError', err: { type: 'TypeError' } });
  log.error({ err: error });
  expect(last()['msg']).toBe('TypeError');
  log.error(error, 'what failed');
  expect(last()['msg']).toBe('what failed');
  expect(lines.join('')).not.toContain('SECRET');
});

test('with the pretty format a line is readable, and redacted in the same manner', async () => {
  const { log, lines } = await capture({ pretty: true });
  log.child({ runId: 'run' }).warn({ keyType: 'CPF', entry: { key: 'SECRET' } }, 'VSync differs');
  expect(lines).toHaveLength(1);
  const line = stripVTControlCharacters(lines[0] ?? '');
  expect(line).toMatch(/WARN.*VSync differs.*"runId":"run".*"keyType":"CPF".*\[personal\].*\n$/);
  expect(line).not.toContain('SECRET');
  expect(line).not.toContain('dict-vsync');
  expect(line.trim()).not.toContain('\n');
});
