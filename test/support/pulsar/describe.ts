import { describe, inject, test } from 'vitest';
import type { Broker } from './start-pulsar.ts';
import { missingForJava, pulsarClasspath } from './classpath.ts';
import type { Answer } from './serve-pulsar.ts';

/**
 * Tests on the Pulsar that all test files share. They are reported as skipped, with the reason, where it cannot run.
 */
export async function describeWithPulsar(name: string, tests: (broker: Broker) => void): Promise<void> {
  const answer = (await (await fetch(inject('pulsar'))).json()) as Answer;
  if ('error' in answer) throw new Error(answer.error);
  if ('broker' in answer) describe(name, () => tests(answer.broker));
  // There is no broker here, and none is required (with REQUIRE_PULSAR that is an error above): shown as skipped, not
  // hidden.
  else describe(name, () => test.skip(`needs a Pulsar: ${answer.reason}`, () => undefined));
}

/** Tests that start, kill and configure a broker of their own: on this machine's Java, or skipped with the reason. */
export async function describeWithJava(name: string, tests: () => void): Promise<void> {
  const missing =
    (await missingForJava()) ??
    (await pulsarClasspath().then(
      () => undefined,
      (error: unknown) => `Pulsar cannot be fetched: ${String(error).split('\n')[0]}`,
    ));
  if (missing === undefined) return void describe(name, tests);
  if (process.env['REQUIRE_PULSAR'] === '1') throw new Error(`REQUIRE_PULSAR=1, but ${missing}`);
  // As above.
  describe(name, () => test.skip(`needs a Pulsar of its own: ${missing}`, () => undefined));
}
