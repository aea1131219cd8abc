import { parentPort, workerData } from 'node:worker_threads';
import { DvError } from '../../errors.ts';
import { scanCidFile } from './scan.ts';
import type { ScanAnswer, ScanRequest } from './scan-thread.ts';

/** Entry of the thread that scanCidFileInThread starts: scans one file, posts progress, then the scan or the error. */
async function main(): Promise<void> {
  const { path, expected } = workerData as ScanRequest;
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window's
  const post = (answer: ScanAnswer) => parentPort?.postMessage(answer);
  try {
    const scan = await scanCidFile(path, expected, {
      onProgress: (progress) => post({ kind: 'progress', progress }),
    });
    post({ kind: 'scan', scan });
  } catch (error) {
    // A class does not cross threads; what no DvError explains ends the thread as it is, through its 'error' event.
    if (!(error instanceof DvError)) throw error;
    post({ kind: 'refused', code: error.code, message: error.message, class: error.class });
  }
}

void main();
