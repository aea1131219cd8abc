import type { Pool } from 'pg';

/** When the model's time begins. */
export const EPOCH = Date.UTC(2026, 0, 10, 10);

/** Makes the database use the model's clock and driver only; otherwise its triggers would use the real clock. */
export async function drive(pool: Pool): Promise<void> {
  await pool.query(`
    create or replace function workflow.now() returns timestamptz
    language sql volatile set search_path = pg_catalog, workflow as $$
      select timestamptz '${new Date(EPOCH).toISOString()}' + offset_by from workflow.clock $$`);
  await pool.query(`
    do $$
    declare
      f record;
    begin
      for f in select p.oid from pg_proc p
               where p.pronamespace = 'dict'::regnamespace and p.prosrc like '%clock_timestamp()%' loop
        execute replace(pg_get_functiondef(f.oid), 'clock_timestamp()', 'workflow.now()');
      end loop;
      -- A seed always repeats the same sequence.
      for f in select p.oid from pg_proc p
               where p.pronamespace = 'workflow'::regnamespace and p.prosrc like '%random()%' loop
        execute replace(pg_get_functiondef(f.oid), 'random()', '0.5');
      end loop;
      alter table dict.entries alter since set default workflow.now();
      alter table dict.cid_history alter left_at set default workflow.now();
    end $$`);
  // Without a queue: the driver takes the runs itself.
  await pool.query(`
    create or replace function workflow.add_job(run_id uuid, task text, due timestamptz, key_prefix text default 'run:')
    returns void language sql as ''`);
}

/** Milliseconds since EPOCH. */
export async function setClock(pool: Pool, ms: number): Promise<void> {
  await pool.query(`update workflow.clock set offset_by = $1 * interval '1 millisecond'`, [ms]);
}

/** Deletes every key, run and job; the machines stay. */
export async function forgetEverything(pool: Pool): Promise<void> {
  await pool.query(`
    do $$
    declare
      t record;
    begin
      set local session_replication_role = replica;
      for t in select c.oid::regclass as name from pg_class c
               where c.relkind = 'r' and c.relnamespace in ('dict'::regnamespace, 'workflow'::regnamespace,
                   'graphile_worker'::regnamespace)
                 and c.relname not in ('settings', 'clock', 'machines', 'states', 'transitions', 'migrations',
                   'workers', '_private_tasks', '_private_job_queues', '_private_known_crontabs')
                 and c.relname not like '%migration%' loop
        execute 'delete from ' || t.name;
      end loop;
    end $$`);
}
