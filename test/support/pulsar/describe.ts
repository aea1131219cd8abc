import { describe, inject, test } from 'vitest';
import type { Broker } from './broker.ts';
import type { Answer } from './starter.ts';

/** Tests on the one Pulsar of all test files; reported as skipped, with the reason, where none can be had. */
export async function describeWithPulsar(name: string, tests: (broker: Broker) => void): Promise<void> {
  const answer = (await (await fetch(inject('pulsar'))).json()) as Answer;
  if ('error' in answer) throw new Error(answer.error);
  if ('broker' in answer) describe(name, () => tests(answer.broker));
  else describe(name, () => test.skip(`needs a Pulsar: ${answer.reason}`, () => undefined));
}
