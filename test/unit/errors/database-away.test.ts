import { expect, test } from 'vitest';
import { fromDatabase } from '../../../src/engine/database-errors.ts';
import { isAway } from '../../../src/errors/database-away.ts';

test.each([
  ...['53300', '57P03', '57P01', '08006', '25006', 'ECONNREFUSED', 'EAI_AGAIN', 'EHOSTUNREACH'].map(
    (code) => [code, true] as const,
  ),
  ...['28P01', '28000', '3D000', '42501', '57014', '0A000', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'ENOENT'].map(
    (code) => [code, false] as const,
  ),
])('%s may heal by itself: %s', (code, heals) => {
  const error = Object.assign(new Error('x'), { code });
  expect(isAway(error)).toBe(heals);
  // The engine has the same rule: a step does not lose an attempt by it.
  const unreachable = { code: 'DV_DATABASE_UNREACHABLE', class: 'retryable' };
  if (heals) expect(fromDatabase(error)).toMatchObject(unreachable);
  else expect(fromDatabase(error)).not.toMatchObject(unreachable);
});

test('a connection that node-postgres lost is recognized without any code', () => {
  const error = new Error('Connection terminated unexpectedly');
  expect(isAway(error)).toBe(true);
  expect(fromDatabase(error)).toMatchObject({
    code: 'DV_DATABASE_UNREACHABLE',
    message: 'The connection to the database was lost.',
  });
});

test('a missing file does not mean an unreachable database, a socket that does not exist yet does', () => {
  const missing = (syscall: string) => Object.assign(new Error('x'), { code: 'ENOENT', syscall });
  expect(isAway(missing('open'))).toBe(false);
  expect(fromDatabase(missing('open'))).not.toHaveProperty('class');
  expect(isAway(missing('connect'))).toBe(true);
});

test('for a name with several addresses the first failure counts', () => {
  const refused = Object.assign(new Error('x'), { code: 'ECONNREFUSED' });
  expect(isAway(new AggregateError([refused]))).toBe(true);
});
