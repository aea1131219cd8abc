import { createHash } from 'node:crypto';
import type { MessagePort } from 'node:worker_threads';

/** Computes the SHA-256 of the bytes passed to it. */
export interface FileHash {
  /** Resolves when the bytes may be overwritten. */
  update(bytes: Uint8Array): Promise<void>;
  /** Lower-case hex. May be called once, at the end. */
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

/** Hashes in the thread that serves the other end of the port. The bytes must be in shared memory. */
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

/** Serves hashThere at the other end of the port, for one file. */
export function serveHash(port: MessagePort): void {
  const hash = createHash('sha256');
  port.on('message', (bytes: Uint8Array | undefined) => {
    port.postMessage(bytes === undefined ? hash.digest('hex') : (hash.update(bytes), ''));
  });
}
