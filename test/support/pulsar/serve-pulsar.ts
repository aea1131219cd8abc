import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Broker, startBroker } from './start-pulsar.ts';

/** The answer to a test file that asks for the Pulsar of all tests. */
export type Answer = { broker: Broker } | { reason: string } | { error: string };

/**
 * Serves the one Pulsar of all test files. It starts when the first of them asks, so that other tests don't wait for
 * it. Returns the URL to ask.
 */
export async function servePulsar(): Promise<{ url: string; stop(): Promise<void> }> {
  let starting: Promise<Broker | string> | undefined;
  const server = createServer((_, response) => {
    starting ??= startBroker();
    const answering = starting.then(
      (found): Answer => (typeof found === 'string' ? { reason: found } : { broker: found }),
      (error: unknown): Answer => ({ error: String(error) }),
    );
    void answering.then((answer) => response.end(JSON.stringify(answer)));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async stop() {
      server.close();
      server.closeAllConnections();
      const started = await starting?.catch(() => undefined);
      if (started !== undefined && typeof started !== 'string') await started.stop();
    },
  };
}
