import { expect, test } from 'vitest';
import { spawned } from '../../unit/cli/support.ts';

test('demo --night-from-hell: an outage, a blocked entry and another owner; in the morning all is in sync', async () => {
  const { exitCode, stdout, stderr } = await spawned([
    ...['demo', '--night-from-hell', '--keys', '60', '--divergent', '3'],
  ]);
  expect(exitCode, stderr).toBe(0);
  const lines = [
    'DICT is in maintenance',
    'verification: FAILED',
    'automatic retry 1',
    'reconciliation PHONE: waits for a person to approve the repair',
    'reconciliation CPF: COMPLETED_WITH_QUARANTINE',
    'EntryBlocked',
    'the court lifts the block',
  ];
  let from = 0;
  for (const line of lines) {
    const at = stderr.indexOf(line, from);
    expect(at, `${line} in ${stderr}`).toBeGreaterThan(-1);
    from = at;
  }
  expect(stdout).toContain('All five key types are in sync with DICT');
});

test.each([
  ['--churn', 'cannot be combined'],
  ['--divergent=0', 'give larger numbers'],
])('with %s it says what to give instead', async (option, message) => {
  const { exitCode, stderr } = await spawned(['demo', '--night-from-hell', '--keys', '20', option]);
  expect(exitCode).toBe(2);
  expect(stderr).toContain(message);
});
