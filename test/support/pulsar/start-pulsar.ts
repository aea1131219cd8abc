import { givenBroker, type Broker } from './find-pulsar.ts';
import { missingForJava } from './classpath.ts';
import { startStandalone } from './standalone.ts';
import { startContainer } from './container.ts';

export type { Broker } from './find-pulsar.ts';

/**
 * A real Pulsar: the one of PULSAR_URL (its admin API and WebSocket at PULSAR_HTTP_URL, default port 8080 of the same
 * host); otherwise one in a container, where a Docker engine answers; otherwise one on this machine's Java from Maven
 * Central. Returns the reason, a string, where Pulsar cannot run. With REQUIRE_PULSAR=1 that is an error.
 */
export async function startBroker(): Promise<Broker | string> {
  const given = givenBroker();
  if (given !== undefined) return given;
  const java = await missingForJava();
  const required = process.env['REQUIRE_PULSAR'] === '1';
  const reasons: string[] = [];
  for (const start of [startContainer, ...(java === undefined ? [startStandalone] : [])]) {
    try {
      const broker = await start();
      if (broker !== undefined) return broker;
      reasons.push('no Docker engine');
    } catch (error) {
      if (required) throw error;
      reasons.push(String(error).split('\n')[0]!);
    }
  }
  const reason = ['no PULSAR_URL', ...reasons, ...(java === undefined ? [] : [java])].join(', ');
  if (required) throw new Error(`REQUIRE_PULSAR=1, but there is no Pulsar: ${reason}`);
  return reason;
}
