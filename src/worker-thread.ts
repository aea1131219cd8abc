import { isSea } from 'node:sea';
import { Worker, type Transferable } from 'node:worker_threads';
import { readAsset } from './assets.ts';

/**
 * Starts one of our own threads. In a single executable a thread cannot start from a URL, only from text, which Node
 * treats as CommonJS: the asset `<name>.cjs`. Otherwise it starts from `file`, which is called only then, because
 * inside an executable the file has no URL.
 * `transferList`: the objects in workerData, such as ports, that are transferred to the thread.
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
