import type { Broker } from './start-pulsar.ts';

const IMAGE = 'apachepulsar/pulsar:4.0.7';

/** Pulsar standalone in a container; undefined where no Docker engine answers. */
export async function startContainer(): Promise<Broker | undefined> {
  const { GenericContainer, getContainerRuntimeClient, Wait } = await import('testcontainers');
  try {
    await getContainerRuntimeClient();
  } catch {
    return undefined;
  }
  const container = await new GenericContainer(IMAGE)
    .withEnvironment({ PULSAR_MEM: '-Xms64m -Xmx384m', PULSAR_PREFIX_brokerDeduplicationEnabled: 'true' })
    .withCommand([
      'sh',
      '-c',
      'bin/apply-config-from-env.py conf/standalone.conf && exec bin/pulsar standalone -nfw -nss',
    ])
    .withExposedPorts(6650, 8080)
    .withWaitStrategy(Wait.forHttp('/admin/v2/persistent/public/default', 8080))
    .withStartupTimeout(180_000)
    .start();
  const at = (scheme: string, port: number) =>
    `${scheme}://${container.getHost()}:${container.getMappedPort(port)}`;
  return {
    serviceUrl: at('pulsar', 6650),
    webSocketUrl: at('ws', 8080),
    adminUrl: at('http', 8080),
    stop: async () => void (await container.stop()),
  };
}
