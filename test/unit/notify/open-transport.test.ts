import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DvError } from '../../../src/errors/dv-error.ts';
import { openTransport } from '../../../src/notify/index.ts';
import { addon } from './pulsar-support.ts';

const topic = 'persistent://public/default/dict-vsync';

test.each([
  ['postgres:', 'postgres'],
  ['ws://pulsar.example:8080', 'websocket'],
  ['wss://pulsar.example:8443/pulsar', 'websocket'],
])('NOTIFY_URL %s opens the transport %s', async (url, name) => {
  const transport = await openTransport({ url, topic });
  expect(transport.name).toBe(name);
  await transport.close();
});

test.each(['pulsar://pulsar.example:6650', 'pulsar+ssl://pulsar.example:6651'])(
  'NOTIFY_URL %s',
  async (url) => {
    if (addon) {
      const transport = await openTransport({ url, topic });
      expect(transport.name).toBe('pulsar');
      await transport.close();
      return;
    }
    const error = await openTransport({ url, topic }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(DvError);
    expect(error).toMatchObject({
      code: 'DV_NOTIFY_ADDON_MISSING',
      exit: 2,
      message: expect.stringContaining('ws://HOST:8080'),
    });
  },
);

test('a missing PEM file is named by its setting, when the transport opens', async () => {
  const missing = join(import.meta.dirname, 'nothing.pem');
  await expect(openTransport({ url: 'wss://pulsar.example', topic, tlsCa: missing })).rejects.toMatchObject({
    code: 'DV_SETTINGS_INVALID',
    message: 'The file named by NOTIFY_TLS_CA cannot be read.',
  });
});
