import { readFileSync } from 'node:fs';
import { startEmbeddedPostgres } from '../src/database/embedded.ts';
import { createPool } from '../src/database/pool.ts';
const s = await startEmbeddedPostgres({
  directory: '/tmp/bx/pg2',
  settings: { shared_buffers: '1GB', max_wal_size: '8GB' },
});
const pool = createPool(s.url);
const variants: Record<string, string> = JSON.parse(readFileSync(process.argv[2]!, 'utf8'));
const op = process.argv[3] ?? 'update';
const client = await pool.connect();
await client.query(
  `set session_replication_role=replica; delete from dict.entries where key > '00000299999'; set session_replication_role=origin`,
);
const pid = (await client.query('select pg_backend_pid() p')).rows[0].p as number;
const cpu = () => {
  const f = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(f[11]) + Number(f[12])) * 10;
};
let seq = Date.now() % 1000000;
async function run(table: string, n: number, op: string) {
  seq++;
  const sql =
    op === 'update'
      ? `update ${table} set account_number=$2 where participant='12345678' and key_type='CPF' and key=$1`
      : op === 'insert'
        ? `insert into ${table} (participant, key_type, key, request_id, owner_type, tax_id_number, name, branch, account_number, account_type) values ('12345678','CPF',$1,gen_random_uuid(),'NATURAL_PERSON',$1,'José','0001',$2,'CACC')`
        : `delete from ${table} where participant='12345678' and key_type='CPF' and key=$1 and account_number<>$2`;
  const c0 = cpu(),
    t0 = performance.now();
  for (let i = 0; i < n; i++)
    await client.query({
      name: op + table,
      text: sql,
      values: [
        String(op === 'update' ? 1 + ((i * 7368787) % 200000) : 300000 + i).padStart(11, '0'),
        String(seq).padStart(10, '0'),
      ],
    });
  return [((cpu() - c0) / n) * 1000, ((performance.now() - t0) / n) * 1000];
}
const T: Record<string, number[][]> = {};
for (let r = 0; r < 12; r++)
  for (const [name, sql] of Object.entries(variants)) {
    await client.query(sql);
    await client.query('select dict.fold_vsync_deltas(1000000)');
    const t = name === 'plain' ? 'public.plain_entries' : 'dict.entries';
    if (op === 'delete') await run(t, 2000, 'insert');
    (T[name] ??= []).push(await run(t, 2000, op));
    if (op === 'insert')
      await client.query(
        `set session_replication_role=replica; delete from ${t} where key > '00000299999'; set session_replication_role=origin`,
      );
  }
const med = (a: number[]) => a.toSorted((x, y) => x - y)[a.length >> 1]!;
for (const [n, x] of Object.entries(T))
  console.log(
    n.padEnd(30),
    'cpu min',
    Math.min(...x.map((y) => y[0]!)).toFixed(0),
    'med',
    med(x.map((y) => y[0]!)).toFixed(0),
    ' wall min',
    Math.min(...x.map((y) => y[1]!)).toFixed(0),
    'med',
    med(x.map((y) => y[1]!)).toFixed(0),
  );
client.release();
await pool.end();
await s.stop();
