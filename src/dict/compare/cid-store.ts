import { randomUUID } from 'node:crypto';
import { mkdir, open, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { DvError } from '../../errors/dv-error.ts';
import { CID_BYTES } from '../entry/cid.ts';

/** Bytes written at a time; fewer with many partitions, so that their buffers do not grow with the file. */
const WRITE_BYTES = 1 << 16;
const BUFFERED_BYTES = 1 << 22;

/**
 * The position of a partition among all CIDs to be stored, and its size in bytes; both are known before the first CID.
 */
export interface Partition {
  from: number;
  bytes: number;
}

/** Stores CIDs (raw 32 bytes) by partition. */
export interface CidStore {
  /** Takes a copy of the CID at `source[at]`. */
  append(partition: number, source: Buffer, at: number): void;
  /** Must be awaited regularly, and after the last `append`. */
  flush(isLast: boolean): Promise<void>;
  /** The partition's CIDs in the order they were appended; valid until the next call. */
  read(partition: number): Promise<Buffer>;
  close(): Promise<void>;
}

/** A store in memory, for a single partition. */
export function memoryStore(bytes: number): CidStore {
  const cids = Buffer.allocUnsafeSlow(bytes);
  let filled = 0;
  return {
    append(_partition, source, at) {
      source.copy(cids, filled, at, at + CID_BYTES);
      filled += CID_BYTES;
    },
    flush: () => Promise.resolve(),
    read: () => Promise.resolve(cids),
    close: () => Promise.resolve(),
  };
}

/**
 * A store in one temporary file in `tempDir` (created if missing). It needs memory of a few MiB and of the partition
 * being read, with any number of CIDs. The file is removed from its folder as soon as it is open, so nothing is left
 * behind even if the process crashes. DV_TEMP_FILE_FAILED when the file system refuses.
 */
export async function tempFileStore(tempDir: string, partitions: readonly Partition[]): Promise<CidStore> {
  const handle = await failing(openUnlinked(tempDir));
  const writeBytes = Math.min(
    WRITE_BYTES,
    CID_BYTES * Math.max(1, Math.floor(BUFFERED_BYTES / CID_BYTES / partitions.length)),
  );
  const writers = partitions.map(({ from }) => ({
    buffer: Buffer.allocUnsafeSlow(writeBytes),
    filled: 0,
    position: from,
  }));
  const full: { buffer: Buffer<ArrayBuffer>; bytes: number; position: number }[] = [];
  const free: Buffer<ArrayBuffer>[] = [];
  let region = Buffer.alloc(0);

  return {
    append(partition, source, at) {
      const writer = writers[partition]!;
      source.copy(writer.buffer, writer.filled, at, at + CID_BYTES);
      writer.filled += CID_BYTES;
      if (writer.filled < writeBytes) return;
      full.push({ buffer: writer.buffer, bytes: writeBytes, position: writer.position });
      writer.buffer = free.pop() ?? Buffer.allocUnsafeSlow(writeBytes);
      writer.filled = 0;
      writer.position += writeBytes;
    },
    async flush(isLast) {
      for (const { buffer, bytes, position } of full.splice(0)) {
        await failing(writeWhole(handle, buffer.subarray(0, bytes), position));
        free.push(buffer);
      }
      if (!isLast) return;
      for (const { buffer, filled, position } of writers.splice(0)) {
        await failing(writeWhole(handle, buffer.subarray(0, filled), position));
      }
      free.length = 0;
    },
    async read(partition) {
      const { from, bytes } = partitions[partition]!;
      if (region.length < bytes) region = Buffer.allocUnsafeSlow(bytes);
      await failing(readWhole(handle, region.subarray(0, bytes), from));
      return region.subarray(0, bytes);
    },
    close: () => handle.close(),
  };
}

async function openUnlinked(tempDir: string): Promise<FileHandle> {
  await mkdir(tempDir, { recursive: true });
  const path = join(tempDir, `cids-${randomUUID()}.tmp`);
  const handle = await open(path, 'wx+', 0o600);
  try {
    await rm(path);
  } catch (error) {
    await handle.close();
    throw error;
  }
  return handle;
}

async function writeWhole(handle: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    at += (await handle.write(bytes, at, bytes.length - at, position + at)).bytesWritten;
  }
}

async function readWhole(handle: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const { bytesRead } = await handle.read(bytes, at, bytes.length - at, position + at);
    if (bytesRead === 0) throw new Error('The temporary file is shorter than the data written to it.');
    at += bytesRead;
  }
}

async function failing<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : '';
    throw new DvError(
      'DV_TEMP_FILE_FAILED',
      `The comparison's temporary file cannot be used${code}. Check the permissions and the free space of the temporary folder.`,
      { cause },
    );
  }
}
