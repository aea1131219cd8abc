import { expect, it } from 'vitest';
import { useTestDatabase } from '../../support/database.ts';
import { cli, expectRefusal } from './support.ts';

const database = useTestDatabase();
const outbox = (...args: string[]) => cli(['outbox', ...args], { env: { DATABASE_URL: database.url } });

it('it lists what is not delivered, and sends dead messages again', async () => {
  expect((await outbox('list')).stdout).toBe('0 waiting, 0 dead.\n');
  expect((await outbox('retry', '--all')).stdout).toBe('There are no dead messages.\n');
  const ids: string[] = [];
  for (let n = 0; n < 3; n++) {
    const { rows } = await database.pool.query<{ id: string }>(
      `select dict.publish('12345678', 'CPF', 'undo.done', '{"by": "Ana Souza"}', null) as id`,
    );
    ids.push(rows[0]!.id);
  }
  const [first = '', second = '', third = ''] = ids;
  await database.pool.query(
    `update dict.outbox set dead_at = workflow.now(), attempts = 3, last_error = 'DV_TOO_LARGE' where id = any ($1)`,
    [[first, second]],
  );

  const listed = await outbox('list');
  expect(listed.exitCode).toBe(0);
  expect(listed.stdout).toMatch(
    new RegExp(`^${first} +12345678 +CPF +1 +undo\\.done +20\\S+Z +DEAD +3 +DV_TOO_LARGE$`, 'm'),
  );
  expect(listed.stdout).toContain('1 waiting, 2 dead.');
  expect(listed.stdout).not.toContain('Ana Souza');
  expect((await outbox('list', '--waiting', '--json')).json()).toMatchObject({
    ...{ waiting: 1, dead: 2 },
    messages: [{ id: third, sequence: '3', state: 'WAITING', attempts: 0, errorCode: null }],
  });
  expect((await outbox('list', '--dead', '--limit', '1', '--json')).json()).toMatchObject({
    messages: [{ id: first, state: 'DEAD' }],
  });

  expectRefusal(await outbox('retry', first, third), 1, 'DV_MESSAGE_NOT_DEAD');
  expect((await outbox('retry', second, '--json')).json()).toEqual({ again: 1 });
  expect((await outbox('retry', '--all')).stdout).toBe('1 messages will be sent again.\n');
  expect((await outbox('list', '--json')).json()).toMatchObject({
    dead: 0,
    messages: [
      { id: third, sequence: '3' },
      { id: second, sequence: '4' },
      { id: first, sequence: '5' },
    ],
  });
});
