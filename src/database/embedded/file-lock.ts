import { accessSync, constants } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

const SQLITE_BUSY = 5;

/**
 * A lock between processes. The kernel releases it when its process dies, also by kill -9. Node has no file locks of
 * its own, but SQLite has: a read transaction is a shared lock, and an exclusive transaction is an exclusive lock. The
 * file stays empty.
 */
export class FileLock {
  readonly #database: DatabaseSync;

  /** Input: the lock's file, created if it does not exist. Throws if it cannot be opened for writing. */
  constructor(path: string) {
    this.#database = new DatabaseSync(path, { timeout: 0 });
    accessSync(path, constants.W_OK);
  }

  /** Takes the lock as one of several. False while another process has it exclusively. */
  tryShared(): boolean {
    return this.#try('begin; select 1 from sqlite_schema');
  }

  /** Takes the lock exclusively. False while any other process has it. */
  tryExclusive(): boolean {
    return this.#try('begin exclusive');
  }

  /** Releases the lock. Does nothing if it was not taken. */
  release(): void {
    if (this.#database.isTransaction) this.#database.exec('rollback');
  }

  /** Releases the lock and closes the file. */
  close(): void {
    if (this.#database.isOpen) this.#database.close();
  }

  #try(sql: string): boolean {
    try {
      this.#database.exec(sql);
      return true;
    } catch (error) {
      this.release();
      if ((error as { errcode?: number }).errcode === SQLITE_BUSY) return false;
      throw error;
    }
  }
}
