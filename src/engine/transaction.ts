import type { QueryResult } from 'pg';
import type { Transaction } from './activity-contract.ts';
import { one } from '../errors/rows.ts';
import { IDLE_TRANSACTION_MS, WAITING_TRANSACTION_MS } from './lease.ts';
import type { Connections } from './query-timeout.ts';

export interface TransactionOptions {
  /** When it fires, the connection is destroyed and its server process is ended. */
  signal?: AbortSignal | undefined;
  /**
   * Set if the work also waits for others than Postgres, such as a broker. It may then be idle for 45 s instead of 10.
   */
  waitsForOthers?: boolean;
}

/** Begins a transaction. Postgres ends its session when it is idle for this time. */
const beginWith = (idleMs: number) => `begin; set local idle_in_transaction_session_timeout = ${idleMs}`;
const BEGIN = beginWith(IDLE_TRANSACTION_MS);
const BEGIN_WAITING = beginWith(WAITING_TRANSACTION_MS);

/** Runs `work` in a transaction on a separate connection. Commits when it returns, rolls back when it throws. */
export async function inTransaction<T>(
  pool: Connections,
  work: (tx: Transaction) => Promise<T>,
  { signal, waitsForOthers = false }: TransactionOptions = {},
): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  let backend: { pid: number; began: string } | undefined;
  const destroy = () => {
    broken = new Error('aborted');
    client.release(broken);
    // Otherwise the server notices the lost client only when its statement ends, and keeps the locks until then.
    if (backend !== undefined) {
      pool
        // Only if it is still in this transaction: behind a pooler the process may serve another client by now.
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
    const begin = waitsForOthers ? BEGIN_WAITING : BEGIN;
    if (signal === undefined) {
      await client.query(begin);
    } else {
      // One round trip, inside the transaction: behind a pooler the process id that the client knows belongs to another
      // session.
      const answers = (await client.query(
        `${begin}; select pg_backend_pid() as pid, now()::text as began`,
      )) as unknown as QueryResult<{ pid: number; began: string }>[];
      backend = one(answers[2]?.rows ?? []);
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
