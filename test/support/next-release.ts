import { type ShippedSchema, shippedSchema } from '../../src/database/migrate/migrate.ts';

const shipped = shippedSchema();

/**
 * A fictitious next release: a table, a trigger and its function, a changed and a new function, a view with one more
 * column.
 */
export const NEXT_RELEASE: ShippedSchema = {
  migrations: [
    ...shipped.migrations,
    {
      name: '0005-next.sql',
      script: `create table dict.next (id uuid primary key default dict.next_id(), at timestamptz);
        create trigger next_stamped before insert on dict.next for each row execute function dict.next_stamped();`,
    },
  ],
  functions: {
    number: shipped.functions.number + 1,
    definitions: [
      ...shipped.functions.definitions.map((one) =>
        one.name === 'workflow.lease' ? { ...one, text: one.text.replace('10 seconds', '11 seconds') } : one,
      ),
      made('dict.next_id', 'returns uuid language sql as $$ select workflow.uuidv7() $$'),
      made(
        'dict.next_stamped',
        'returns trigger language plpgsql as $$ begin new.at := workflow.now(); return new; end $$',
      ),
    ],
  },
};

/** A function without parameters, for a test's set of SQL files. */
export function made(name: string, rest: string): ShippedSchema['functions']['definitions'][number] {
  return {
    name,
    kind: 'function',
    path: `${name}.sql`,
    text: `create or replace function ${name}() ${rest};`,
  };
}
