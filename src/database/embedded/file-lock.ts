import { accessSync, constants } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

const SQLITE_BUSY = 5;

/**
 * A lock between processes that the kernel takes back when its holder dies, kill -9 included. Node has no file
 * locks of its own, SQLite does: a read transaction is a shared lock, an exclusive one an exclusive lock. The
 * file stays empty.
 */
export class FileLock {
  readonly #database: DatabaseSync;

  /** Input: the lock's file, made when absent. Throws when it cannot be opened for writing. */
  constructor(path: string) {
    this.#database = new DatabaseSync(path, { timeout: 0 });
    accessSync(path, constants.W_OK);
  }

  /** Takes it together with others; false while someone holds it exclusively. */
  tryShared(): boolean {
    return this.#try('begin; select 1 from sqlite_schema');
  }

  /** Takes it alone; false while anyone else holds it. */
  tryExclusive(): boolean {
    return this.#try('begin exclusive');
  }

  /** Gives it back; harmless when it isn't held. */
  release(): void {
    if (this.#database.isTransaction) this.#database.exec('rollback');
  }

  /** Gives it back and closes the file. */
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
