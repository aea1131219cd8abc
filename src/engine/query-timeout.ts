import type { Pool, QueryConfig } from 'pg';

/** What the engine needs of a pool. */
export type Connections = Pick<Pool, 'query' | 'connect'>;

/**
 * A pool whose single statements are waited for only so long: a connection that went quiet (a black-holed network, a
 * firewall that forgot it) is then destroyed, and the statement fails as a lost connection does. Transactions
 * (`connect`) are left alone: who has one watches over it.
 */
export function withQueryTimeout(pool: Pool, ms: number): Connections {
  const query = (text: string, values?: unknown[]) => {
    // node-postgres takes it with a query; its types know it of a client only.
    const config: QueryConfig & { query_timeout: number } = {
      text,
      query_timeout: ms,
      values: values ?? [],
    };
    return pool.query(config);
  };
  return { query: query as Pool['query'], connect: pool.connect.bind(pool) };
}
