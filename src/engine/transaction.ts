import type { Pool } from 'pg';
import type { Transaction } from './activity.ts';

/**
 * Runs `work` in a transaction on a connection of its own: commits what it returns, rolls back what it throws. When
 * `signal` has fired, or the rollback itself fails, the connection is destroyed: it may still be working. With a
 * signal, its server process is ended too.
 */
export async function inTransaction<T>(
  pool: Pool,
  work: (tx: Transaction) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  let backend: number | undefined;
  const destroy = () => {
    broken = new Error('aborted');
    client.release(broken);
    // The server notices a lost client only when its statement ends, and keeps the locks until then.
    if (backend !== undefined) {
      pool.query('select pg_terminate_backend($1)', [backend]).catch(() => undefined);
    }
  };
  signal?.addEventListener('abort', destroy, { once: true });
  try {
    signal?.throwIfAborted();
    // A process that freezes, or a host that is gone without a word, keeps its locks no longer than this.
    await client.query(
      `begin; set local idle_in_transaction_session_timeout = '${signal === undefined ? 30 : 10}s'`,
    );
    if (signal !== undefined) {
      const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
      backend = rows[0]?.pid;
    }
    const result = await work(client);
    await client.query('commit');
    return result;
  } catch (error) {
    if (broken === undefined) {
      await client.query('rollback').catch((failure: Error) => {
        broken = failure;
        client.release(failure);
      });
    }
    throw error;
  } finally {
    signal?.removeEventListener('abort', destroy);
    if (broken === undefined) client.release();
  }
}
