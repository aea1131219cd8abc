import { readFileSync } from 'node:fs';
import { startEmbeddedPostgres } from '../src/database/embedded.ts';
import { migrate } from '../src/database/migrate.ts';
import { createPool } from '../src/database/pool.ts';
import { fillBoth, OURS, PLAIN } from './trigger/tables.ts';
const s = await startEmbeddedPostgres({
  directory: '/tmp/bx/pg2',
  settings: { shared_buffers: '1GB', max_wal_size: '8GB' },
});
await migrate(s.url);
const pool = createPool(s.url);
const { rows } = await pool.query("select to_regclass('public.plain_entries') t");
if (rows[0].t === null) await fillBoth(pool, 200000);
const variants: Record<string, string> = JSON.parse(
  readFileSync(process.argv[2] ?? '/dev/null', 'utf8') || '{}',
);
const client = await pool.connect();
const pid = (await client.query('select pg_backend_pid() p')).rows[0].p as number;
const cpu = () => {
  const f = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(f[11]) + Number(f[12])) * 10;
};
let seq = Number((await client.query('select (extract(epoch from now()))::bigint % 100000 n')).rows[0].n);
async function run(table: string, op: string, n: number) {
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
const N = 4000;
async function all(label: string) {
  for (const op of ['update', 'insert', 'delete']) {
    const out: string[] = [];
    const acc: Record<string, number[][]> = { [OURS]: [], [PLAIN]: [] };
    for (let r = 0; r < 2; r++)
      for (const t of [OURS, PLAIN])
        acc[t]!.push(
          await run(t, op, N / 2 > 0 && op !== 'update' ? N : N).then(async (x) => {
            if (op === 'insert')
              await client
                .query(
                  `set session_replication_role=replica; delete from ${t} where key > '00000299999'; set session_replication_role=origin`,
                )
                .then(async () => (r === 1 ? await run(t, 'insert', N).then(() => 0) : 0));
            if (op === 'delete' && r === 0) await run(t, 'insert', N);
            return x;
          }),
        );
    for (const t of [OURS, PLAIN])
      out.push(
        `${t} cpu ${acc[t]!.map((x) => x[0]!.toFixed(0)).join('/')} wall ${acc[t]!.map((x) => x[1]!.toFixed(0)).join('/')} µs`,
      );
    console.log(label.padEnd(12), op.padEnd(7), out.join('   '));
  }
  await client.query('select dict.fold_vsync_deltas(1000000)');
}
await all('warm');
await all('base');
for (const [name, sql] of Object.entries(variants)) {
  await client.query(sql);
  await all(name);
}
client.release();
await pool.end();
await s.stop();
