import { createHash } from 'node:crypto';
import type { MessagePort } from 'node:worker_threads';

/** The SHA-256 of what it is shown. */
export interface FileHash {
  /** Resolves when the bytes may be overwritten. */
  update(bytes: Uint8Array): Promise<void>;
  /** Lower-case hex. Ends it. */
  digest(): Promise<string>;
}

export function hashHere(): FileHash {
  const hash = createHash('sha256');
  return {
    update(bytes) {
      hash.update(bytes);
      return Promise.resolve();
    },
    digest: () => Promise.resolve(hash.digest('hex')),
  };
}

/** Hashes in the thread that serves the port's other end; the bytes must lie in shared memory. */
export function hashThere(port: MessagePort): FileHash {
  const waiting: ((answer: string) => void)[] = [];
  port.on('message', (answer: string) => waiting.shift()?.(answer));
  const ask = (bytes: Uint8Array | undefined) =>
    new Promise<string>((resolve) => {
      waiting.push(resolve);
      port.postMessage(bytes);
    });
  return {
    async update(bytes) {
      await ask(bytes);
    },
    digest: () => ask(undefined),
  };
}

/** Serves the hashThere of the port's other end, one file. */
export function serveHash(port: MessagePort): void {
  const hash = createHash('sha256');
  port.on('message', (bytes: Uint8Array | undefined) => {
    port.postMessage(bytes === undefined ? hash.digest('hex') : (hash.update(bytes), ''));
  });
}
