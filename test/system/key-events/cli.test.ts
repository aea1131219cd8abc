import { expect, test } from 'vitest';
import { readKeyEvent } from '../../../src/dict/key-base/key-event.ts';
import { applyKeyEvents } from '../../../src/dict/key-base/apply-key-events.ts';
import { cli } from '../../unit/cli/support.ts';
import { at, bytes, ISPB, keyEvent, keys, servingDatabase } from './support.ts';

test('key-events lists what was refused, with the reason; vsync says that it is incomplete', async () => {
  const { pool, url } = await servingDatabase();
  const env = { DATABASE_URL: url };
  const none = await cli(['key-events'], { env });
  expect(none).toMatchObject({
    exitCode: 0,
    stdout: 'No key event was refused since the last OK of DICT.\n',
  });

  const [entry] = keys('EMAIL', 1);
  const event = keyEvent('key.created', entry!, at(1), { data: { ...entry, requestId: undefined } });
  await applyKeyEvents(pool, [readKeyEvent(bytes(event))!]);
  const listed = await cli(['key-events', '--json'], { env });
  expect(listed.json()).toMatchObject({
    rejects: [
      { id: event.id, participant: ISPB, keyType: 'EMAIL', key: entry!.key, reason: 'REQUEST_ID_MISSING' },
    ],
  });
  expect((await cli(['key-events'], { env })).stdout).toContain('REQUEST_ID_MISSING');
  const { stderr } = await cli(['vsync'], { env });
  expect(stderr).toMatch(/^VSync incomplete: 12345678 EMAIL may lack keys\..*`dict-vsync key-events`.*\n$/);
});
