import { expect, test } from 'vitest';
import { readAsset } from '../../../src/assets.ts';
import { KEY_EVENT_TYPES, readKeyEvent } from '../../../src/dict/key-base/key-event.ts';
import { KEY_TYPES } from '../../../src/dict/entry/key-type.ts';
import { validator } from '../../support/schemas.ts';
import { at, bytes, type CloudEvent, keyEvent, keys } from './support.ts';

const isValid = (event: CloudEvent) =>
  validator('key-event.v1.json')(event) && validator(`${event.type}.v1.json`)(event.data);

const examples = KEY_EVENT_TYPES.flatMap((type) =>
  KEY_TYPES.flatMap((keyType) =>
    keys(keyType, 5).map((entry) => keyEvent(type, entry, at(1), { sequence: '7' })),
  ),
);

test('an event that is valid by the schemas is not refused', () => {
  for (const event of examples) {
    expect(isValid(event)).toBe(true);
    expect(readKeyEvent(bytes(event))?.reason).toBeNull();
  }
});

test('a field that is missing or of another type is refused by both', () => {
  for (const event of examples) {
    for (const field of Object.keys(event.data)) {
      for (const value of [undefined, 7]) {
        const changed = { ...event, data: { ...event.data, [field]: value } };
        if (value === undefined) delete (changed.data as Record<string, unknown>)[field];
        const refused = readKeyEvent(bytes(changed))?.reason !== null;
        expect({ field, value, refused }).toEqual({ field, value, refused: !isValid(changed) });
      }
    }
  }
});

test('the example of docs/guides/key-events.md is valid', () => {
  const [, json = ''] = /```json\n(.*?)```/s.exec(readAsset('docs/guides/key-events.md')) ?? [];
  const event = JSON.parse(json) as CloudEvent;
  expect(isValid(event)).toBe(true);
  expect(readKeyEvent(Buffer.from(json))).toMatchObject({ reason: null, entry: { name: 'João Silva' } });
});

test('docs/guides/key-events.md names every type and its schema', () => {
  const text = readAsset('docs/guides/key-events.md');
  for (const type of KEY_EVENT_TYPES)
    expect(text).toContain(`(../reference/messages/schemas/${type}.v1.json)`);
});
