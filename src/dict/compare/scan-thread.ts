import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { DvError, type ErrorClass, type ErrorCode } from '../../errors/dv-error.ts';
import { startThread } from '../../worker-thread.ts';
import type { CidFileScan, ExpectedFile, ScanOptions, ScanProgress } from './scan.ts';

/** What the scanning thread is started with. */
export interface ScanRequest {
  path: string;
  expected: ExpectedFile | undefined;
  /** The port to the thread that hashes. */
  hash: MessagePort;
}

/** What a thread is started with. */
export type ScanThread = ({ kind: 'scan' } & ScanRequest) | { kind: 'hash'; port: MessagePort };

/** What the scanning thread posts: progress any number of times, then one of the others. */
export type ScanAnswer =
  | { kind: 'progress'; progress: ScanProgress }
  | { kind: 'scan'; scan: CidFileScan }
  | { kind: 'refused'; code: ErrorCode; message: string; class: ErrorClass };

/**
 * scanCidFile in threads of its own, so that the event loop stays free. One thread reads the file and its lines; the
 * other computes the SHA-256 simultaneously, which takes most of the time. Same result and errors, and also
 * DV_SCAN_THREAD_DIED. The signal ends the threads.
 */
export async function scanCidFileInThread(
  path: string,
  expected?: ExpectedFile,
  options: ScanOptions = {},
): Promise<CidFileScan> {
  const { signal, onProgress } = options;
  signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<CidFileScan>();
  const died = (cause?: unknown) =>
    reject(
      new DvError('DV_SCAN_THREAD_DIED', 'A thread that reads the CID file ended unexpectedly. Retry.', {
        cause,
      }),
    );
  const start = (data: ScanThread, port: MessagePort) => {
    const file = () => new URL('./scan-worker.ts', import.meta.url);
    return startThread('scan-worker', file, data, [port])
      .on('error', died)
      .on('exit', () => died());
  };
  const { port1, port2 } = new MessageChannel();
  const hashing = start({ kind: 'hash', port: port1 }, port1);
  const scanning = start({ kind: 'scan', path, expected, hash: port2 }, port2);
  scanning.on('message', (answer: ScanAnswer) => {
    if (answer.kind === 'progress') onProgress?.(answer.progress);
    else if (answer.kind === 'scan') resolve(answer.scan);
    else reject(new DvError(answer.code, answer.message, { class: answer.class }));
  });
  const abort = () => reject(signal?.reason as Error);
  signal?.addEventListener('abort', abort, { once: true });
  try {
    return await promise;
  } finally {
    signal?.removeEventListener('abort', abort);
    await Promise.all([scanning.terminate(), hashing.terminate()]);
  }
}
