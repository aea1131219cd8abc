import { onTestFinished } from 'vitest';
import { connectBridge } from '../../../src/bridge/index.ts';
import type { Bridge, BridgeOptions } from '../../../src/bridge/index.ts';
import { DvError } from '../../../src/errors/dv-error.ts';
import { startSimulator } from '../../../src/simulator/index.ts';
import type { FaceOptions, SimulatedDict, SimulatedDictOptions } from '../../../src/simulator/index.ts';

export { ISPB, keys } from '../../support/key-base.ts';

export const CALL = { correlationId: 'test-call-1' };

/** A simulator on a free port and a client of it, both closed with the test; files are made immediately. */
export async function bridgeWithDict(
  options: SimulatedDictOptions & FaceOptions = {},
  client: Partial<BridgeOptions> = {},
): Promise<{ bridge: Bridge; dict: SimulatedDict; address: string; stop: () => Promise<void> }> {
  const { dict, address, stop } = await startSimulator({
    fileGenerationMs: 0,
    participants: 'any',
    ...options,
  });
  const bridge = connectBridge({ address, ...client });
  onTestFinished(async () => {
    bridge.close();
    await stop();
  });
  return { bridge, dict, address, stop };
}

/** The error that the promise was rejected with, which must be a DvError. */
export async function failure(promise: Promise<unknown>): Promise<DvError> {
  const error = await promise.then(
    () => new Error('it did not fail'),
    (reason: unknown) => reason,
  );
  if (error instanceof DvError) return error;
  throw error;
}

export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}
