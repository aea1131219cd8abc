import type { Pool, QueryConfig } from 'pg';

/** The part of a pool that the engine uses. */
export type Connections = Pick<Pool, 'query' | 'connect'>;

/**
 * A pool whose single statements have a time limit. A connection without an answer by then (a network that drops
 * packets, a firewall that forgot the connection) is destroyed, and the statement fails like one whose connection was
 * lost. The limit does not apply to transactions (`connect`): their callers set their own.
 */
export function withQueryTimeout(pool: Pool, ms: number): Connections {
  const query = (text: string, values?: unknown[]) => {
    // node-postgres accepts query_timeout with a query, but its types allow it only for a client.
    const config: QueryConfig & { query_timeout: number } = {
      text,
      query_timeout: ms,
      values: values ?? [],
    };
    return pool.query(config);
  };
  return { query: query as Pool['query'], connect: pool.connect.bind(pool) };
}
