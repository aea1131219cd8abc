import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { expect } from 'vitest';

export const SCHEMA_FOLDER = fileURLToPath(new URL('../../docs/reference/messages/schemas', import.meta.url));

export type Schema = { [name: string]: unknown };

/** The schemas as they are shipped, by file name. */
export const SCHEMAS: ReadonlyMap<string, Schema> = new Map(
  readdirSync(SCHEMA_FOLDER).map((name) => [
    name,
    JSON.parse(readFileSync(join(SCHEMA_FOLDER, name), 'utf8')) as Schema,
  ]),
);

/**
 * Our own messages are checked more strictly than receivers should check: no field beside those that the schema names.
 */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== 'object' || schema === null) return schema;
  const inner = Object.fromEntries(Object.entries(schema).map(([name, part]) => [name, closed(part)]));
  return inner['properties'] === undefined ? inner : { additionalProperties: false, ...inner };
}

const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, allErrors: true, strictRequired: true });
addFormats.default(ajv);
ajv.addKeyword({ keyword: 'x-personal-data', schemaType: 'boolean' });
for (const [name, schema] of SCHEMAS) ajv.addSchema(closed(schema) as Schema, name);

/** The check of a schema, by its file name; it allows no field beside those that the schema names. */
export function validator(name: string): ValidateFunction {
  const found = ajv.getSchema(name);
  if (found === undefined) throw new Error(`there is no schema ${name}`);
  return found;
}

/** What is wrong with one of our CloudEvents: its envelope, and its data by the schema that it names. */
export function problemsOf(event: unknown): string[] {
  const { dataschema, type, data } = event as { dataschema: string; type: string; data: unknown };
  const name = dataschema.replace('urn:dict-vsync:schemas:', '');
  const problems = type === `br.dict-vsync.${name.replace(/\.json$/, '')}` ? [] : ['type and schema differ'];
  for (const [validate, value] of [
    [validator('cloudevent.v1.json'), event],
    [validator(name), data],
  ] as const) {
    if (validate(value)) continue;
    problems.push(
      ...(validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`),
    );
  }
  return problems;
}

export function expectValidEvent(event: unknown): void {
  expect(problemsOf(event), (event as { type?: string }).type).toEqual([]);
}
