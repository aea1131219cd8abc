import { expect, test } from 'vitest';
import { formatEvent } from '../../../src/cli/output/format-event.ts';
import { postgresTransport, relayOutbox, type CloudEvent } from '../../../src/notify/index.ts';
import { ISPB, publishOne } from '../notify/support.ts';
import { useTestDatabase } from '../../support/database.ts';
import { cli, expectRefusal } from './support.ts';

const database = useTestDatabase();

async function deliver(n: number): Promise<void> {
  await publishOne(database.pool, { n });
  await relayOutbox(database.pool, postgresTransport());
}

const events = (stdout: string) =>
  stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as CloudEvent);

test('it prints existing messages, then new ones, one per line: complete with --json, otherwise without personal data', async () => {
  const env = { DATABASE_URL: database.url };
  await deliver(1);
  await deliver(2);
  const kept = await cli(['listen', '--from-start', '--most', '2', '--json'], { env });
  expect(kept).toMatchObject({ exitCode: 0, stderr: '' });
  expect(events(kept.stdout).map(({ sequence }) => Number(sequence))).toEqual([1, 2]);
  expect(kept.stdout).toContain('key 2');

  const live = cli(['listen', '--most', '1'], { env });
  const listening = `select from pg_stat_activity where datname = current_database() and query like '%order by n.delivered_at%'
    and state = 'idle' and application_name <> '' and pid <> pg_backend_pid()`;
  await expect.poll(async () => (await database.pool.query(listening)).rowCount).toBeGreaterThan(0);
  await deliver(3);
  const { stdout } = await live;
  expect(stdout).toMatch(/^\S+Z 12345678\/EMAIL +#3 +reconciliation\.changes page=1 runId=\S+ changes=1\n$/);
});

test('a line contains nothing that a person wrote', () => {
  const data = {
    event: 'REJECTED',
    reason: 'Ana said so',
    summary: { key: 'k' },
    hours: 36,
    ok: true,
    none: null,
  };
  const event = { time: 'T', type: 'br.dict-vsync.x.v1', subject: `${ISPB}/CPF`, sequence: '7', data };
  expect(formatEvent(event)).toBe('T 12345678/CPF   #7    x event=REJECTED hours=36 ok=true');
  expect(formatEvent('text')).toBe('a message that is not from dict-vsync');
});

test('it refuses a count of 0', async () => {
  expectRefusal(await cli(['listen', '--most', '0']), 2, 'DV_USAGE');
});
