import type { QueryResult } from 'pg';
import type { Transaction } from './activity.ts';
import type { Connections } from './connections.ts';

/**
 * Runs `work` in a transaction on a connection of its own: commits what it returns, rolls back what it throws. When
 * `signal` has fired, or the rollback itself fails, the connection is destroyed: it may still be working. With a
 * signal, its server process is ended too.
 */
export async function inTransaction<T>(
  pool: Connections,
  work: (tx: Transaction) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  let backend: { pid: number; began: string } | undefined;
  const destroy = () => {
    broken = new Error('aborted');
    client.release(broken);
    // The server notices a lost client only when its statement ends, and keeps the locks until then.
    if (backend !== undefined) {
      pool
        // Only as long as it is in this very transaction: behind a pooler it may be another's by now.
        .query(
          'select pg_terminate_backend(pid) from pg_stat_activity where pid = $1 and xact_start = $2::timestamptz',
          [backend.pid, backend.began],
        )
        .catch(() => undefined);
    }
  };
  signal?.addEventListener('abort', destroy, { once: true });
  try {
    signal?.throwIfAborted();
    // A process that freezes, or a host that is gone without a word, keeps its locks no longer than this.
    if (signal === undefined) {
      await client.query(`begin; set local idle_in_transaction_session_timeout = '45s'`);
    } else {
      // In one round trip. Asked for inside the transaction: behind a pooler the client's own number is another's.
      const answers = (await client.query(
        `begin; set local idle_in_transaction_session_timeout = '10s';
         select pg_backend_pid() as pid, now()::text as began`,
      )) as unknown as QueryResult<{ pid: number; began: string }>[];
      backend = answers[2]?.rows[0];
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
