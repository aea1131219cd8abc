import type { ClientReadableStream, ServiceError } from '@grpc/grpc-js';
import { bridgeError, cancelled, idleTimeout } from './errors.ts';

const METHOD = 'DownloadCidSetFile';

/**
 * The chunks of one download. `open` starts the call when iteration begins. If a chunk takes longer than `idleMs`, the
 * download ends with DV_BRIDGE_TIMEOUT; the time that the reader spends between chunks does not count. Leaving the loop
 * early, an error and the signal all cancel the call.
 */
export async function* downloadStream(
  open: () => ClientReadableStream<object>,
  options: { idleMs: number; signal: AbortSignal },
): AsyncGenerator<Uint8Array, void, undefined> {
  const { idleMs, signal } = options;
  if (signal.aborted) throw cancelled(METHOD);
  const call = open();
  // A cancelled call emits an error event, even when nobody iterates any more.
  call.on('error', () => {});
  const cancel = () => call.cancel();
  signal.addEventListener('abort', cancel);
  const chunks = call[Symbol.asyncIterator]() as AsyncIterator<{ data: Uint8Array }>;
  let idle = false;
  try {
    for (;;) {
      const timer = setTimeout(() => {
        idle = true;
        cancel();
      }, idleMs);
      const next = await chunks.next().finally(() => clearTimeout(timer));
      if (next.done) return;
      yield next.value.data;
    }
  } catch (error) {
    throw idle ? idleTimeout(METHOD) : bridgeError(METHOD, error as ServiceError);
  } finally {
    signal.removeEventListener('abort', cancel);
    cancel();
  }
}
