import { createHash } from 'node:crypto';
import { DvError } from '../errors/dv-error.ts';
import { maybeOne } from '../errors/rows.ts';
import type { Connections } from './query-timeout.ts';
import type { Machine } from './machine.ts';
import { inTransaction } from './transaction.ts';

/** The fingerprint of a definition. It is the same for equal machines, whatever the order of their keys. */
export function fingerprint(machine: Machine): string {
  return createHash('sha256')
    .update(JSON.stringify(machine, (_key, value: unknown) => (isObject(value) ? sorted(value) : value)))
    .digest('hex');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function sorted(value: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * Stores the program's machines. Several processes may do so simultaneously.
 * Errors: DV_MACHINE_CHANGED if a version is already stored with another definition, because open runs rely on it.
 */
export async function storeMachines(pool: Connections, machines: readonly Machine[]): Promise<void> {
  await inTransaction(pool, async (tx) => {
    await tx.query(`select pg_advisory_xact_lock(hashtext('dict-vsync machines'))`);
    for (const machine of machines) {
      const hash = fingerprint(machine);
      const { rows } = await tx.query<{ definition_sha256: string }>(
        'select definition_sha256 from workflow.machines where name = $1 and version = $2',
        [machine.name, machine.version],
      );
      const stored = maybeOne(rows)?.definition_sha256;
      if (stored === hash) continue;
      if (stored !== undefined) {
        throw new DvError(
          'DV_MACHINE_CHANGED',
          `Machine ${machine.name} version ${machine.version} differs from the one in the database. Give a changed machine a new version.`,
        );
      }
      await tx.query(
        `insert into workflow.machines (name, version, initial_state, definition_sha256) values ($1, $2, $3, $4)`,
        [machine.name, machine.version, machine.initial, hash],
      );
      await tx.query(INSERT_STATES, [machine.name, machine.version, JSON.stringify(machine.states)]);
      await tx.query(INSERT_TRANSITIONS, [machine.name, machine.version, JSON.stringify(machine.states)]);
    }
  });
}

const INSERT_STATES = `
  insert into workflow.states (machine, version, state, kind, task, max_attempts, initial_interval, backoff, max_interval,
    start_to_close, poll_initial, poll_backoff, poll_max, deadline, signals, awaits_children, closes_as)
  select $1, $2, key, s ->> 'kind', s ->> 'task',
    coalesce((s #>> '{retry,maxAttempts}')::integer, 5),
    coalesce((s #>> '{retry,initialMs}')::float8, 1000) * interval '1 millisecond',
    coalesce((s #>> '{retry,backoff}')::float8, 2),
    coalesce((s #>> '{retry,maxMs}')::float8, 30000) * interval '1 millisecond',
    coalesce((s ->> 'startToCloseMs')::float8, 300000) * interval '1 millisecond',
    (s #>> '{poll,initialMs}')::float8 * interval '1 millisecond',
    (s #>> '{poll,backoff}')::float8,
    (s #>> '{poll,maxMs}')::float8 * interval '1 millisecond',
    (s ->> 'deadlineMs')::float8 * interval '1 millisecond',
    array(select jsonb_array_elements_text(coalesce(s -> 'signals', '[]'))),
    coalesce((s ->> 'awaitsChildren')::boolean, false),
    s ->> 'closesAs'
  from jsonb_each($3::jsonb) as e (key, s)`;

const INSERT_TRANSITIONS = `
  insert into workflow.transitions (machine, version, state, outcome, next_state)
  select $1, $2, e.key, o.key, o.value
  from jsonb_each($3::jsonb) as e (key, s), jsonb_each_text(coalesce(s -> 'on', '{}')) as o (key, value)`;
