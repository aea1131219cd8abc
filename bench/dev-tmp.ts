import { startSimulatorProcess } from './support/simulator.ts';
import { startService } from './engine/service.ts';
import { migrate } from '../src/database/migrate.ts';
import pg from 'pg';
import { readFileSync } from 'node:fs';
const base = readFileSync('/tmp/epg/url','utf8').trim();
const c = new pg.Client(base); await c.connect();
await c.query('drop database if exists d_service with (force)'); await c.query('create database d_service');
const url = base.replace('/dict_vsync','/d_service'); await migrate(url);
await using resources = new AsyncDisposableStack();
const simulator = await startSimulatorProcess({ url, keyTypes: ['CPF'], keysPerType: 100, divergent: 0, options: {} }, resources);
const env = { DATABASE_URL: url, PARTICIPANT_ISPB: '12345678', BRIDGE_ADDRESS: simulator.address, TEMP_DIR: '/tmp/epg/x', LOG_LEVEL: 'error' };
for (let i=0;i<5;i++){ if(i===4) await c.query("alter database d_service set log_min_duration_statement=0");
 const s = await startService(env, resources); console.log('ready', s.startedInMs.toFixed(0)); 
 if(i===4){ const m=process.argv[2]; await c.query('create extension if not exists pg_stat_statements'); await new Promise(r=>setTimeout(r,3000)); await c.query("select pg_stat_statements_reset()"); await new Promise(r=>setTimeout(r,10000)); const {rows}=await c.query("select calls, left(regexp_replace(query,'\\s+',' ','g'),140) q from pg_stat_statements s join pg_database d on d.oid=s.dbid where datname='d_service' and toplevel order by calls desc limit 25"); for(const r of rows) console.log(String(r.calls).padStart(5), r.q); }
 await s.stop(); }
await c.end();
