import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRequire } from 'node:module';
import { Ajv } from 'ajv';
import addFormats from 'ajv-formats';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { KEY_EVENT_TYPES } from '../../../src/dict/key-base/key-event.ts';
import { cloudEvent, type Outboxed } from '../../../src/notify/outbox/envelope.ts';
import type { Message } from '../../../src/notify/outbox/messages.ts';
import { PERSONAL_DATA } from '../../../src/notify/outbox/personal-data.ts';
import { problemsOf, type Schema, SCHEMA_FOLDER, SCHEMAS } from '../../support/schemas.ts';
import { exampleOf } from '../../unit/notify/examples.ts';
import { ISPB } from '../../unit/notify/support.ts';

const docs = join(SCHEMA_FOLDER, '..');
const TYPES = Object.keys(PERSONAL_DATA) as Message['type'][];

function rowOf(type: string, payload: unknown): Outboxed {
  const id = '01980f00-0000-7000-8000-000000000001';
  const createdAt = new Date('2026-11-23T03:00:00Z');
  return {
    id,
    participant: ISPB,
    keyType: 'CPF',
    sequence: '42',
    type,
    payload,
    correlationId: 'ab12',
    createdAt,
  };
}

const asSent = (type: Message['type'], content: 'full' | 'references') =>
  JSON.parse(JSON.stringify(cloudEvent(rowOf(type, exampleOf(type)), content))) as {
    data: Schema;
    personaldata: boolean;
  };

/** The paths that a schema marks as personal data, in the form of PERSONAL_DATA. */
function marked(schema: Schema, path: string[] = []): string[] {
  if (schema['x-personal-data'] === true) return [path.join('.')];
  const ref = schema['$ref'] as string | undefined;
  if (ref !== undefined) {
    const [file = '', pointer = ''] = ref.split('#/');
    const target = pointer.split('/').reduce((part, name) => part[name] as Schema, SCHEMAS.get(file)!);
    return marked(target, path);
  }
  const alternatives = (schema['anyOf'] as Schema[] | undefined) ?? [];
  const properties = Object.entries((schema['properties'] as Record<string, Schema> | undefined) ?? {});
  return [
    ...alternatives.flatMap((part) => marked(part, path)),
    ...properties.flatMap(([name, part]) => marked(part, [...path, name])),
    ...(schema['items'] === undefined ? [] : marked(schema['items'] as Schema, [...path, '*'])),
  ];
}

/** The values at a path; `*` stands for each item. */
function valuesAt(value: unknown, [name, ...rest]: string[]): unknown[] {
  if (name === undefined) return [value];
  if (typeof value !== 'object' || value === null) return [];
  if (name === '*') return (value as unknown[]).flatMap((item) => valuesAt(item, rest));
  return name in value ? valuesAt((value as Schema)[name], rest) : [];
}

describe.each(TYPES)('%s', (type) => {
  test('an example with every field is valid, in full and by reference, and each field is marked as personal data or not', () => {
    const full = asSent(type, 'full');
    const references = asSent(type, 'references');
    expect(problemsOf(full)).toEqual([]);
    expect(problemsOf(references)).toEqual([]);
    expect(full.personaldata).toBe(PERSONAL_DATA[type].length > 0);
    expect(references.personaldata).toBe(false);
  });

  test('a reference leaves out exactly what the schema marks as personal data', () => {
    expect([...PERSONAL_DATA[type]].sort()).toEqual(marked(SCHEMAS.get(`${type}.v1.json`)!).sort());
    const { data: full } = asSent(type, 'full');
    const { data } = asSent(type, 'references');
    for (const path of PERSONAL_DATA[type]) {
      expect(valuesAt(full, path.split('.')), path).not.toEqual([]);
      expect(valuesAt(data, path.split('.')), path).toEqual([]);
    }
    expect(full).toMatchObject(data);
  });

  test('a surplus field, or a field of another type, is not valid', () => {
    const event = asSent(type, 'full');
    expect(problemsOf({ ...event, data: { ...event.data, more: 1 } })).not.toEqual([]);
    for (const name of Object.keys(event.data)) {
      expect(problemsOf({ ...event, data: { ...event.data, [name]: { no: 'such' } } }), name).not.toEqual([]);
    }
  });
});

test('the envelope is a CloudEvent 1.0 of our own shape', () => {
  expect(asSent('undo.done', 'full')).toMatchObject({
    specversion: '1.0',
    id: '01980f00-0000-7000-8000-000000000001',
    source: '/dict-vsync/12345678',
    type: 'br.dict-vsync.undo.done.v1',
    subject: '12345678/CPF',
    time: '2026-11-23T03:00:00.000Z',
    datacontenttype: 'application/json',
    dataschema: 'urn:dict-vsync:schemas:undo.done.v1.json',
    sequence: '0000000000000000042',
    correlationid: 'ab12',
    personaldata: true,
  });
  // CloudEvents 1.0: attribute names are lower-case letters and digits.
  for (const name of Object.keys(asSent('undo.done', 'full'))) expect(name).toMatch(/^[a-z0-9]{1,20}$/);
});

test('by reference, an unknown message type keeps no data', () => {
  expect(cloudEvent(rowOf('other', { name: 'João' }), 'references')).toMatchObject({
    data: {},
    personaldata: false,
  });
  expect(cloudEvent(rowOf('other', { name: 'João' }), 'full')).toMatchObject({ personaldata: true });
});

describe('the AsyncAPI document', () => {
  const text = readFileSync(join(docs, 'asyncapi.yaml'), 'utf8');
  const document = parse(text) as { components: { messages: Record<string, { name: string }> } };

  test('is valid by AsyncAPI 3.0’s own schema', () => {
    const schema = createRequire(import.meta.url)('@asyncapi/specs/schemas/3.0.0.json') as Schema;
    // It includes draft-07's own schema, which ajv would have already.
    const ajv = new Ajv({ strict: false, allErrors: true, meta: false, validateSchema: false });
    addFormats.default(ajv);
    const validate = ajv.compile(schema);
    validate(document);
    expect(validate.errors ?? []).toEqual([]);
    expect(validate({ ...document, operations: { tell: { channel: {} } } })).toBe(false);
  });

  test('it has every message type once, and every file that it refers to exists', () => {
    expect(
      Object.values(document.components.messages)
        .map(({ name }) => name)
        .sort(),
    ).toEqual([...TYPES, ...KEY_EVENT_TYPES].sort());
    const referred = [...text.matchAll(/\.\/(schemas\/\S+)/g)].map(([, path = '']) =>
      path.replace('schemas/', ''),
    );
    const files = readdirSync(SCHEMA_FOLDER).filter((name) => name !== 'common.v1.json');
    expect([...new Set(referred)].sort()).toEqual(files.sort());
    for (const [, name = ''] of text.matchAll(/\$ref: '#\/(\S+)'/g)) {
      const target = name
        .split('/')
        .reduce<Schema | undefined>((part, key) => part?.[key] as Schema, document);
      expect(target, name).toBeDefined();
    }
  });
});

test('docs/guides/core-dict.md names every message type and every schema', () => {
  const text = readFileSync(
    fileURLToPath(new URL('../../../docs/guides/core-dict.md', import.meta.url)),
    'utf8',
  );
  for (const type of TYPES) {
    expect(text).toContain(`| \`${type}\` |`);
    expect(text).toContain(`(../reference/messages/schemas/${type}.v1.json)`);
  }
});
