import { afterAll, beforeAll, expect, test } from 'vitest';
import { TRANSPORTS } from '../../unit/notify/pulsar-support.ts';
import { childrenOf } from '../../support/inspect.ts';
import { describeWithPulsar } from '../../support/pulsar/describe.ts';
import { createNamespace, type Namespace } from '../../support/pulsar/namespace.ts';
import { expectValidEvent } from '../../support/schemas.ts';
import { startSystem } from '../../support/system.ts';

await describeWithPulsar('Core-Dict receives by Pulsar', (broker) => {
  let namespace: Namespace;
  beforeAll(async () => {
    namespace = await createNamespace(broker);
  });
  afterAll(() => namespace.remove());

  test.each(TRANSPORTS)('the messages of a verification and its reconciliation, by %s', async (name, url) => {
    const topic = namespace.topic(name);
    const system = await startSystem({
      divergent: 6,
      settings: { NOTIFY_URL: url(broker), NOTIFY_TOPIC: topic },
    });
    const verification = await system.verify();
    await system.waitForClosed(verification);
    await system.waitForClosed((await childrenOf(system.pool, verification)).CPF!);
    const waiting = 'select from dict.outbox where delivered_at is null';
    await expect.poll(async () => (await system.pool.query(waiting)).rowCount).toBe(0);
    const received = await namespace.read(topic);
    for (const { body } of received) expectValidEvent(JSON.parse(body));
    const of = (keyType: string) =>
      received
        .filter(({ key }) => key === `${system.participant}/${keyType}`)
        .map(({ properties }) => properties['type']);
    expect(of('ALL')).toEqual(['verification.summary']);
    // The changes come as they are made, in the same number of messages.
    expect(of('CPF').filter((type, at, all) => type !== all[at - 1])).toEqual([
      'reconciliation.notification',
      'reconciliation.changes',
      'reconciliation.complete',
    ]);
  });
});
