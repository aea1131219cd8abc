import { startEmbeddedPostgres } from '../src/database/embedded.ts';
import { createPool } from '../src/database/pool.ts';
const s = await startEmbeddedPostgres({
  directory: '/tmp/bx/pg2',
  settings: { shared_buffers: '1GB', max_wal_size: '8GB' },
});
const pool = createPool(s.url);
const c = await pool.connect();
await c.query(
  `create table if not exists public.log1 (like dict.cid_log including defaults including identity)`,
);
await c.query(
  `create table if not exists public.log2 (like dict.cid_log including defaults including identity); create index if not exists l2 on public.log2(cid); create index if not exists l22 on public.log2(participant,key_type,key)`,
);
const stm: Record<string, string> = {
  empty: `null;`,
  'perform 1': `perform 1;`,
  'select into o': `select * into o from dict.entries where key = '00000000001' and participant='12345678' and key_type='CPF';`,
  'bucket expr': `b := dict.bucket(o.cid);`,
  'bits expr': `x := dict.bits(o.cid);`,
  'insert delta const': `insert into dict.vsync_deltas (participant, key_type, bucket, count_change, xor) values ('12345678','CPF',1,1,x);`,
  'insert delta expr': `insert into dict.vsync_deltas (participant, key_type, bucket, count_change, xor) values (o.participant,o.key_type,dict.bucket(o.cid),1,dict.bits(o.cid));`,
  'insert 2 deltas expr': `insert into dict.vsync_deltas (participant, key_type, bucket, count_change, xor) values (o.participant,o.key_type,dict.bucket(o.cid),1,dict.bits(o.cid)), (o.participant,o.key_type,dict.bucket(o.cid),-1,dict.bits(o.cid));`,
  'insert log': `insert into dict.cid_log (participant, key_type, key, cid, request_id, came_at, left_why) values (o.participant, o.key_type, o.key, sha256(i::text::bytea), o.request_id, o.since, 'updated');`,
  'insert log noidx': `insert into public.log1 (participant, key_type, key, cid, request_id, came_at, left_why) values (o.participant, o.key_type, o.key, sha256(i::text::bytea), o.request_id, o.since, 'updated');`,
  'insert log 2 idx': `insert into public.log2 (participant, key_type, key, cid, request_id, came_at, left_why) values (o.participant, o.key_type, o.key, sha256(i::text::bytea), o.request_id, o.since, 'updated');`,
  'touch cmp record': `b2 := o is distinct from o2;`,
  'touch cmp row': `b2 := (o.request_id, o.tax_id_number, o.name, o.trade_name, o.branch, o.account_number, o.account_type,
        o.opening_date, o.removed_at is null) is distinct from
       (o2.request_id, o2.tax_id_number, o2.name, o2.trade_name, o2.branch, o2.account_number, o2.account_type,
        o2.opening_date, o2.removed_at is null);`,
  'touch assign': `o.changed_xid := pg_current_xact_id();`,
};
const N = 5000;
for (let r = 0; r < 2; r++)
  for (const [n, body] of Object.entries(stm)) {
    const t: number[] = [];
    for (let k = 0; k < 5; k++) {
      await c.query('begin');
      await c.query(`do $$ declare o dict.entries; o2 dict.entries; b smallint; b2 bool; x bit(256) := repeat('0',256)::bit(256); t timestamptz; begin
   select * into o from dict.entries limit 1; o2 := o;
   t := clock_timestamp();
   for i in 1..${N} loop ${body} end loop;
   perform set_config('b.t', (extract(epoch from clock_timestamp()-t)*1e6/${N})::text, false); end $$`);
      t.push(Number((await c.query("select current_setting('b.t') t")).rows[0].t));
      await c.query('rollback');
    }
    if (r) console.log(n.padEnd(25), Math.min(...t).toFixed(2), 'µs');
  }
c.release();
await pool.end();
await s.stop();
