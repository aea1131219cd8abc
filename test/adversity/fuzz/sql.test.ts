import fc from 'fast-check';
import { expect, test } from 'vitest';
import { useSql } from '../../contract/sql/support.ts';
import { FUZZ_TIMEOUT, fuzzing } from './support.ts';

const { query } = useSql();

/** The documented functions that take a person's input, with the types of their parameters. */
const FUNCTIONS: Record<string, string[]> = {
  'dict.start_verification': ['text', 'text[]'],
  'dict.start_reconciliation': ['text', 'text[]'],
  'dict.approve_reconciliation': ['uuid', 'text', 'text', 'text'],
  'dict.reject_reconciliation': ['uuid', 'text', 'text', 'text'],
  'dict.register_local_only': ['uuid', 'text[]', 'text', 'text'],
  'dict.start_undo': ['uuid', 'text', 'text'],
  'dict.release_keys': ['text', 'text', 'text[]', 'text', 'uuid'],
  'workflow.cancel': ['uuid', 'text', 'text'],
  'workflow.retry': ['uuid', 'text', 'text'],
  'workflow.find_run': ['text'],
  'workflow.signal': ['uuid', 'text', 'jsonb', 'text', 'text'],
  'workflow.start_run': ['text', 'text', 'jsonb', 'text'],
};

// Postgres takes no NUL in a text; node-postgres would send it.
const text = fc.oneof(
  fc.constantFrom(
    '',
    ' ',
    '12345678',
    '1234567８',
    'CPF',
    'verification',
    'Ana',
    "'; drop table x; --",
    '%',
    '{}',
    '\u202e',
  ),
  fc.string({ unit: 'binary' }).map((value) => value.replaceAll(/[\0\uD800-\uDFFF]/g, '')),
);
const values: Record<string, fc.Arbitrary<unknown>> = {
  text: fc.option(text),
  'text[]': fc.option(fc.array(fc.option(text), { maxLength: 4 })),
  uuid: fc.option(fc.uuid()),
  jsonb: fc.option(fc.json().map((json) => json.replaceAll('\\u0000', ''))),
};

/** SQL errors that say what is wrong with the value, not that our function broke: not null, and data exceptions. */
const ALLOWED = /^(DV000|23502|22\w{3})$/;

test.each(Object.entries(FUNCTIONS))(
  '%s does its work, or refuses with a code and changes nothing',
  async (name, types) => {
    const counted = async () =>
      query(`select (select count(*) from workflow.runs) as runs, (select count(*) from workflow.history) as history,
      (select count(*) from workflow.signals) as signals, (select count(*) from graphile_worker.jobs) as jobs`);
    await fc.assert(
      fc.asyncProperty(fc.tuple(...types.map((type) => values[type]!)), async (args) => {
        const before = await counted();
        const call = `select * from ${name}(${types.map((type, n) => `$${n + 1}::${type}`).join(', ')})`;
        try {
          await query(call, args);
        } catch (error) {
          const { code, detail, message } = error as { code: string; detail?: string; message: string };
          expect({ code, message }).toEqual({ code: expect.stringMatching(ALLOWED) as string, message });
          if (code === 'DV000') expect(detail).toMatch(/^DV_[A-Z_]+$/);
          expect(await counted()).toEqual(before);
        }
      }),
      fuzzing(40),
    );
  },
  FUZZ_TIMEOUT,
);
