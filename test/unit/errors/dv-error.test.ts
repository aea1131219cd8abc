import { describe, expect, test } from 'vitest';
import { explain } from '../../../src/cli/explain-error.ts';
import { connectionError } from '../../../src/database/connection-error.ts';
import { fromDatabase } from '../../../src/engine/index.ts';
import { DvError } from '../../../src/errors/dv-error.ts';
import { pulsarErrors } from '../../../src/notify/pulsar/pulsar-errors.ts';

test('class and exit code are those of the catalogue, where the case has no exception', () => {
  expect(new DvError('DV_USAGE', 'x')).toMatchObject({ class: 'not_retryable', exit: 2 });
  expect(new DvError('DV_TIMEOUT', 'x')).toMatchObject({ class: 'retryable', exit: 1 });
  expect(new DvError('DV_DICT_RATE_LIMITED', 'x')).toMatchObject({ class: 'rate_limited', exit: 1 });
  const exception = new DvError('DV_FILE_UNREADABLE', 'x', { class: 'not_retryable', exit: 2 });
  expect(exception).toMatchObject({ class: 'not_retryable', exit: 2 });
  expect(explain(exception)).toEqual({ code: 'DV_FILE_UNREADABLE', message: 'x', exitCode: 2 });
});

describe('an error that a SQL function raises', () => {
  const raised = (detail: string) =>
    fromDatabase(Object.assign(new Error('Do this.'), { code: 'DV000', detail }));

  test('is the error of that code', () => {
    expect(raised('DV_RUN_CLOSED')).toMatchObject({
      code: 'DV_RUN_CLOSED',
      class: 'not_retryable',
      message: 'Do this.',
    });
    expect(raised('DV_QUEUE_BUSY')).toMatchObject({ code: 'DV_QUEUE_BUSY', class: 'retryable' });
  });

  test('with a code that only a newer program knows says so, and keeps the text and the code', () => {
    const error = raised('DV_FROM_THE_FUTURE');
    expect(error).toMatchObject({ code: 'DV_DATABASE_NEWER', class: 'not_retryable' });
    expect((error as DvError).message).toMatch(/^Do this\. \(DV_FROM_THE_FUTURE, /);
  });

  test('with a detail that is not a code does not quote it', () => {
    expect((raised('Key (key)=(a@b.c) exists.') as DvError).message).not.toContain('a@b.c');
    expect(raised('toString')).toMatchObject({ code: 'DV_DATABASE_NEWER' });
  });
});

test('an unreachable database may return; one that does not exist does not appear by waiting', () => {
  const error = (code: string) =>
    connectionError(Object.assign(new Error('x'), { code }), 'postgres://u@h/d');
  expect(error('ECONNREFUSED')).toMatchObject({ code: 'DV_DATABASE_UNREACHABLE', class: 'retryable' });
  expect(error('3D000')).toMatchObject({ code: 'DV_DATABASE_UNREACHABLE', class: 'not_retryable' });
});

test('the texts of a broker name the settings that lead to it', () => {
  const texts = (errors: ReturnType<typeof pulsarErrors>) =>
    [errors.unreachable('x'), errors.timeout(), errors.tls('x'), errors.unauthorized(), errors.topic()]
      .concat(errors.addonMissing(), errors.unforeseen(undefined))
      .map(({ message }) => message)
      .join('\n');
  expect(texts(pulsarErrors('KEY_EVENTS', 'consume'))).not.toMatch(/NOTIFY_(URL|TOPIC)/);
  expect(texts(pulsarErrors('KEY_EVENTS', 'consume'))).toMatch(/KEY_EVENTS_URL.*KEY_EVENTS_TOPIC/s);
  expect(texts(pulsarErrors('NOTIFY', 'produce'))).not.toContain('KEY_EVENTS');
});
