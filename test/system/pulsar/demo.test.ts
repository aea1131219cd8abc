import { expect, onTestFinished, test } from 'vitest';
import type { DemoReport } from '../../../src/cli/demo/demo-report.ts';
import type { CloudEvent } from '../../../src/notify/index.ts';
import { cli, expectRefusal, spawned } from '../../unit/cli/support.ts';
import { describeWithPulsar } from '../../support/pulsar/describe.ts';
import { createNamespace } from '../../support/pulsar/namespace.ts';
import { expectValidEvent } from '../../support/schemas.ts';
import { backlog, publishAll } from './support.ts';

await describeWithPulsar('demo --pulsar and listen', (broker) => {
  const env = {
    NOTIFY_URL: broker.webSocketUrl,
    ...(broker.token !== undefined && { NOTIFY_TOKEN: broker.token }),
  };

  test('the demo prints every message that Core-Dict received, valid by the contract and in the order of its stream', async () => {
    const ended = await spawned(['demo', '--pulsar', '--keys', '40', '--divergent', '3', '--json'], { env });
    expect(ended).toMatchObject({ exitCode: 0, stderr: '' });
    const report = ended.json<DemoReport & { coreDict: CloudEvent[] }>();
    expect(report.inSync).toBe(true);
    expect(report.coreDict).toHaveLength(report.notifications);
    for (const event of report.coreDict) expectValidEvent(event);
    const streams = Map.groupBy(report.coreDict, ({ subject }) => subject);
    expect([...streams.keys()].sort()).toEqual(
      ['ALL', 'CNPJ', 'CPF', 'EMAIL', 'EVP', 'PHONE'].map((keyType) => `12345678/${keyType}`),
    );
    for (const [subject, events] of streams) {
      expect(
        events.map(({ sequence }) => Number(sequence)),
        subject,
      ).toEqual(events.map((_, n) => n + 1));
    }
  });

  test('listen prints each message once and keeps its place', async () => {
    const namespace = await createNamespace(broker);
    onTestFinished(() => namespace.remove());
    const topic = namespace.topic('received');
    const args = ['listen', '--subscription', 'me', '--most', '2', '--json'];
    const first = cli(args, { env: { ...env, NOTIFY_TOPIC: topic } });
    await expect.poll(() => backlog(broker, topic, 'me')).toBe(0);
    await publishAll(
      broker,
      topic,
      [1, 2, 3, 4].map((n) => ({ body: JSON.stringify({ n }), key: 'one stream' })),
    );
    expect((await first).stdout).toBe('{"n":1}\n{"n":2}\n');
    const { stdout, exitCode } = await cli(args, { env: { ...env, NOTIFY_TOPIC: topic } });
    expect({ stdout, exitCode }).toEqual({ stdout: '{"n":3}\n{"n":4}\n', exitCode: 0 });
  });
});

test('the demo says what to install or set where no Pulsar is available', async () => {
  const refused = await spawned(['demo', '--pulsar'], { env: { PATH: '/nowhere' } });
  expectRefusal(refused, 2, 'DV_PULSAR_UNAVAILABLE');
  expect(refused.stderr).toContain('no Java');
});
