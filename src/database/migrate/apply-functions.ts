import type pg from 'pg';
import { DvError } from '../../errors/dv-error.ts';
import { maybeOne, one } from '../../errors/rows.ts';
import { readFunctionFiles } from './function-files.ts';

/**
 * The number of this program's set of functions and views. From 0.1.0 on each release that changes one of them raises
 * the number. If two releases use one database, the set with the higher number is in force, whichever starts last.
 */
export const FUNCTIONS_NUMBER = 1;

/** A function or view of the database, read from the one file that defines it. */
interface Definition {
  /** `workflow.sweep` */
  name: string;
  kind: 'function' | 'view';
  path: string;
  /** The whole file: the definition and its comment. */
  text: string;
}

/** All functions and views, and the number of this set. */
export interface FunctionSet {
  number: number;
  definitions: readonly Definition[];
}

/** The functions and views that this program ships with. */
export function shippedFunctions(): FunctionSet {
  const definitions = Object.entries(readFunctionFiles()).map(([path, text]) => define(path, text));
  return { number: FUNCTIONS_NUMBER, definitions };
}

const DEFINES = /^create or replace (function|view) ((?:workflow|dict)\.\w+)/gm;

function define(path: string, text: string): Definition {
  const [found, ...others] = text.matchAll(DEFINES);
  const [, kind, name] = found ?? [];
  if (name === undefined || others.length > 0) {
    throw new TypeError(`${path} must define one function or view with "create or replace".`);
  }
  return { name, kind: kind === 'view' ? 'view' : 'function', path, text };
}

/** Whether exactly this set is in force. Only reads. Error: DV_DATABASE_NEWER if a set with a higher number is. */
export async function functionsAreCurrent(client: pg.Client, { number }: FunctionSet): Promise<boolean> {
  const applied = await appliedNumber(client);
  if (applied > number) {
    throw new DvError(
      'DV_DATABASE_NEWER',
      `The database has the functions of a newer dict-vsync (number ${applied}; this program has ${number}). ` +
        'Use that version or a newer one.',
    );
  }
  return applied === number;
}

async function appliedNumber(client: pg.Client): Promise<number> {
  const { rows: tables } = await client.query<{ present: boolean }>(
    `select to_regclass('workflow.migrations_applied') is not null as present`,
  );
  if (!one(tables).present) return 0;
  const { rows } = await client.query<{ value: string }>(
    `select value from workflow.settings where name = 'functions_number'`,
  );
  // Without the row no set was ever applied.
  return Number(maybeOne(rows)?.value ?? 0);
}

/**
 * Creates the functions that the migrations' tables and triggers name and that the database does not have yet: a
 * default or a trigger can only be created if its function exists. Existing functions stay unchanged until
 * `applyFunctions`. Runs in the caller's transaction.
 */
export async function createFunctionsForTables(
  client: pg.Client,
  { definitions }: FunctionSet,
  scripts: readonly string[],
): Promise<void> {
  const named = new Set(scripts.join('\n').match(/\b(?:workflow|dict)\.\w+(?=\()/g));
  const { rows } = await client.query<{ name: string }>(
    `select distinct n.nspname || '.' || p.proname as name from pg_proc p join pg_namespace n on n.oid = p.pronamespace
     where n.nspname in ('workflow', 'dict')`,
  );
  const present = new Set(rows.map(({ name }) => name));
  await client.query('set local check_function_bodies = off');
  for (const { name, kind, text } of definitions) {
    if (kind === 'function' && named.has(name) && !present.has(name)) await client.query(text);
  }
}

/**
 * Puts the whole set into force: defines every function and view, then sets the search_path and the rights of all. Runs
 * in the caller's transaction, so that other sessions see all of it or nothing.
 */
export async function applyFunctions(client: pg.Client, { number, definitions }: FunctionSet): Promise<void> {
  // Postgres checks a body given as text only when it first runs. Views and parsed bodies need all that they name now.
  await client.query('set local check_function_bodies = off');
  await client.query(
    inOrder(definitions)
      .map(({ text }) => text)
      .join('\n'),
  );
  await client.query(PATHS);
  await client.query(RIGHTS);
  await client.query(
    `insert into workflow.settings (name, value) values ('functions_number', $1)
     on conflict (name) do update set value = excluded.value`,
    [String(number)],
  );
}

/**
 * First the functions whose body is text, then those with a parsed body and the views, each after all that it names.
 */
export function inOrder(definitions: readonly Definition[]): Definition[] {
  const early = ({ kind, text }: Definition) => kind === 'function' && /\bas \$\$/.test(text);
  const ordered = definitions.filter(early);
  const late = new Map(definitions.filter((one) => !early(one)).map((one) => [one.name, one]));
  const add = (one: Definition): void => {
    if (!late.delete(one.name)) return;
    const [statement = ''] = one.text.split('\ncomment on ');
    for (const name of statement.match(/\b(?:workflow|dict)\.\w+/g) ?? []) {
      const needed = late.get(name);
      if (needed !== undefined) add(needed);
    }
    ordered.push(one);
  };
  for (const one of late.values()) add(one);
  return ordered;
}

/** The names of the functions and views of the set that the database does not have. */
export async function missingFunctions(client: pg.Client, { definitions }: FunctionSet): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select d.name from unnest($1::text[], $2::text[]) as d (name, kind)
     where case d.kind when 'view' then to_regclass(d.name) is null else not exists (
       select from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname || '.' || p.proname = d.name) end`,
    [definitions.map(({ name }) => name), definitions.map(({ kind }) => kind)],
  );
  return rows.map(({ name }) => name);
}

/**
 * One rule for all functions, whatever rights they run with: they find names only in these schemas, and last in the
 * session's temporary schema. If that schema is not named, it is searched first, and a temporary domain could take the
 * place of a type. Parsed bodies are excluded: they are already bound to what they name, and a search_path would
 * prevent inlining.
 */
const PATHS = `
  do $$
  declare
    f regprocedure;
  begin
    for f in
      select p.oid from pg_proc p
      where p.pronamespace in ('workflow'::regnamespace, 'dict'::regnamespace) and p.prosqlbody is null
        and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
    loop
      execute format('alter function %s set search_path = pg_catalog, workflow, dict, pg_temp', f);
    end loop;
  end $$`;

/**
 * Only the owner may call functions that run with the owner's rights or that change something, until they are granted
 * to other roles. The two functions named last are excluded because the views call them with the reader's rights.
 */
const RIGHTS = `
  do $$
  declare
    f regprocedure;
  begin
    for f in
      select p.oid from pg_proc p
      where p.pronamespace in ('workflow'::regnamespace, 'dict'::regnamespace)
        and (p.prosecdef or p.proname in ('connect_source', 'feed_table', 'load_source', 'disconnect_source', 'feed_batch', 'feed_keys',
          'feed_in_chunks', 'feed_differing', 'note_reject', 'note_broken', 'queue_keys'))
        and p.oid not in ('dict.vsync(text, text)'::regprocedure, 'dict.incomplete(text, text)'::regprocedure)
    loop
      execute format('revoke execute on function %s from public', f);
    end loop;
  end $$`;
