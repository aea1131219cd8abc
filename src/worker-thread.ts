import { isSea } from 'node:sea';
import { Worker, type Transferable } from 'node:worker_threads';
import { readAsset } from './assets.ts';

/**
 * Starts a thread of ours. In a single executable threads cannot start from a URL, only from a text, which Node takes
 * for CommonJS: the asset `<name>.cjs`. Elsewhere from the file, asked for only then: in an executable it has no URL.
 * `transferList`: what of workerData goes over to it, such as ports.
 */
export function startThread(
  name: string,
  file: () => URL,
  workerData: unknown,
  transferList: Transferable[] = [],
): Worker {
  const options = { workerData, transferList };
  return isSea()
    ? new Worker(readAsset(`${name}.cjs`), { eval: true, ...options })
    : new Worker(file(), options);
}
