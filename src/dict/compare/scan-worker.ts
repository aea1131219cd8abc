import { parentPort, workerData } from 'node:worker_threads';
import { DvError } from '../../errors/dv-error.ts';
import { hashThere, serveHash } from './file-hash.ts';
import { scanCidFile, type ScanProgress } from './scan.ts';
import type { ScanAnswer, ScanRequest, ScanThread } from './scan-thread.ts';

/** Scans one file, posts progress, then the scan or the error. */
async function scan({ path, expected, hash }: ScanRequest): Promise<void> {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window's
  const post = (answer: ScanAnswer) => parentPort?.postMessage(answer);
  const onProgress = (progress: ScanProgress) => post({ kind: 'progress', progress });
  try {
    post({ kind: 'scan', scan: await scanCidFile(path, expected, { onProgress }, hashThere(hash)) });
  } catch (error) {
    // Classes cannot be passed between threads. An error that is not a DvError ends the thread with its 'error' event.
    if (!(error instanceof DvError)) throw error;
    post({ kind: 'refused', code: error.code, message: error.message, class: error.class });
  }
}

/**
 * Entry point of the two threads that scanCidFileInThread starts: one scans the file, the other hashes the bytes it
 * reads.
 */
const thread = workerData as ScanThread;
if (thread.kind === 'scan') void scan(thread);
else serveHash(thread.port);
