import { DvError, type ErrorClass } from '../../errors.ts';
import { startThread } from '../../thread.ts';
import type { CidFileScan, ExpectedFile, ScanOptions, ScanProgress } from './scan.ts';

/** What the thread is started with. */
export interface ScanRequest {
  path: string;
  expected: ExpectedFile | undefined;
}

/** What the thread says: progress as often as it likes, then one of the others. */
export type ScanAnswer =
  | { kind: 'progress'; progress: ScanProgress }
  | { kind: 'scan'; scan: CidFileScan }
  | { kind: 'refused'; code: string; message: string; class: ErrorClass };

/**
 * scanCidFile in a thread of its own, so that the event loop stays free. Same answer and errors; besides,
 * DV_SCAN_THREAD_DIED. The signal ends the thread.
 */
export async function scanCidFileInThread(
  path: string,
  expected?: ExpectedFile,
  options: ScanOptions = {},
): Promise<CidFileScan> {
  const { signal, onProgress } = options;
  signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<CidFileScan>();
  const request: ScanRequest = { path, expected };
  const worker = startThread('scan-worker', () => new URL('./scan-worker.ts', import.meta.url), request);
  const abort = () => reject(signal?.reason as Error);
  signal?.addEventListener('abort', abort, { once: true });
  worker.on('message', (answer: ScanAnswer) => {
    if (answer.kind === 'progress') onProgress?.(answer.progress);
    else if (answer.kind === 'scan') resolve(answer.scan);
    else reject(new DvError(answer.code, answer.message, { class: answer.class }));
  });
  const died = (cause?: unknown) =>
    reject(
      new DvError(
        'DV_SCAN_THREAD_DIED',
        'The thread that reads the CID file ended unexpectedly. Try again.',
        {
          class: 'retryable',
          cause,
        },
      ),
    );
  worker.on('error', died);
  worker.on('exit', () => died());
  try {
    return await promise;
  } finally {
    signal?.removeEventListener('abort', abort);
    await worker.terminate();
  }
}
