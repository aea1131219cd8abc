import type { ClientBase } from 'pg';

/**
 * Gives a new session our own settings, whatever the role, the database or the server says. Names are found only in
 * pg_catalog (we write ours with their schema), and times have the one format that node-postgres reads. Behind a pooler
 * in transaction mode a statement may run in a session without these settings, so our SQL functions also set their own
 * search_path.
 */
export async function pinSession(client: ClientBase): Promise<void> {
  await client.query(
    `select set_config('search_path', 'pg_catalog, pg_temp', false), set_config('datestyle', 'ISO, YMD', false),
       set_config('intervalstyle', 'postgres', false)`,
  );
}
