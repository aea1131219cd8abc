import { expect, test } from 'vitest';
import { hurryMinutes } from '../../support/hurry-minutes.ts';
import { received, notifications } from '../../support/inspect.ts';
import { startSystem } from '../../support/system.ts';
import { capturedLog } from '../../support/log.ts';

test('the service publishes and logs one message per breach though two workers run, and an OK ends the breach', async () => {
  const minutes = hurryMinutes();
  const log = await capturedLog('warn');
  const system = await startSystem({
    keyTypes: ['CPF'],
    settings: { SYNC_DEADLINE_HOURS: '12.5', WARN_AFTER_HOURS: '1000' },
    log: log.log,
  });
  await system.startAnotherService();
  const { rows } = await system.pool.query('select deadline_hours as hours from dict.warning_settings');
  expect(rows).toEqual([{ hours: 12.5 }]);
  const verified = await system.verify();
  await system.waitForClosed(verified);
  expect(await received(system.pool, verified)).toEqual(['verification.summary']);
  const missed = async () =>
    (await notifications(system.pool)).filter(({ type }) => type === 'sync.deadline_missed');
  const alerts = async () => (await system.pool.query('select key_type from dict.warning_alerts')).rowCount;
  await system.advance('13 hours');
  await expect.poll(alerts, { timeout: 10_000 }).toBe(5);
  const messages = await missed();
  expect(messages.map(({ participant, keyType }) => [participant, keyType])).toEqual(
    ['CNPJ', 'CPF', 'EMAIL', 'EVP', 'PHONE'].map((keyType) => [system.participant, keyType]),
  );
  expect(messages.map(({ payload }) => payload['lastOkAt'] === null)).toEqual([
    true,
    false,
    true,
    true,
    true,
  ]);
  const logged = log.lines().filter(({ msg }) => msg.startsWith("warning: DICT's OK was due at"));
  expect(logged.map(({ keyType }) => String(keyType)).sort()).toEqual([
    'CNPJ',
    'CPF',
    'EMAIL',
    'EVP',
    'PHONE',
  ]);

  // Many more checks by both find nothing new.
  const before = minutes.filter((ms) => ms === 60_000).length;
  await expect.poll(() => minutes.filter((ms) => ms === 60_000).length).toBeGreaterThan(before + 6);
  expect(await missed()).toHaveLength(5);

  await system.waitForClosed(await system.verify());
  await system.advance('13 hours');
  await expect.poll(alerts, { timeout: 10_000 }).toBe(6);
  expect((await missed()).filter(({ keyType }) => keyType === 'CPF').map(({ sequence }) => sequence)).toEqual(
    // Between them is the warning.cleared of the first breach.
    [1, 3],
  );
});
