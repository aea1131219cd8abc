import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Bridge } from '../../../src/bridge/index.ts';
import { computeCid } from '../../../src/dict/entry/cid.ts';
import { DvError } from '../../../src/errors/dv-error.ts';
import type { Operation } from '../../../src/simulator/index.ts';
import { bridgeWithDict, CALL, ISPB, keys } from '../../unit/bridge/support.ts';
import { FUZZ_TIMEOUT, fuzzing, refusedOr } from './support.ts';

const entry = keys('PHONE', 1)[0]!;
const cid = computeCid(entry).toString('hex');
const about = { participant: ISPB, keyType: 'PHONE' } as const;
const calls: Partial<Record<Operation, (bridge: Bridge) => Promise<unknown>>> = {
  createSyncVerification: async (bridge) => bridge.createSyncVerification({ ...about, vsync: cid }, CALL),
  createCidSetFile: async (bridge) => bridge.createCidSetFile(about, CALL),
  getCidSetFile: async (bridge) => bridge.getCidSetFile({ participant: ISPB, id: '1' }, CALL),
  listCidSetEvents: async (bridge) => bridge.listCidSetEvents(about, CALL),
  getEntryByCid: async (bridge) => bridge.getEntryByCid({ participant: ISPB, cid }, CALL),
  listPolicies: async (bridge) => bridge.listPolicies({ participant: ISPB }, CALL),
};

/** A value of any of protobuf's kinds that does not belong there, or no value. */
const strange = fc.oneof(
  fc.constantFrom(
    undefined,
    null,
    '',
    0,
    -1,
    2 ** 53,
    true,
    [],
    {},
    'OK',
    'AVAILABLE',
    'ADDED',
    cid,
    '2026-02-30T00:00:00Z',
  ),
  fc.string(),
  fc.integer(),
);

/** Puts strange values at some of the places of an answer, at any depth. */
function strangely(
  answer: unknown,
  changes: readonly { at: number; value: unknown }[],
): Record<string, unknown> {
  const copy = structuredClone(answer) as Record<string, unknown>;
  for (const { at, value } of changes) {
    const places: [Record<string, unknown>, string][] = [];
    const walk = (node: unknown) => {
      if (typeof node !== 'object' || node === null) return;
      for (const [name, inner] of Object.entries(node)) {
        places.push([node as Record<string, unknown>, name]);
        walk(inner);
      }
    };
    walk(copy);
    const place = places[at % Math.max(places.length, 1)];
    if (place !== undefined) place[0][place[1]] = value;
  }
  return copy;
}

test.each(Object.keys(calls) as Operation[])(
  '%s: a strange answer is refused with a code, or is a valid answer',
  async (operation) => {
    const { bridge, dict } = await bridgeWithDict({ limits: 'off' });
    dict.directory.createEntry(entry);
    await bridge.createCidSetFile(about, CALL);
    const usual = (await calls[operation]!(bridge)) as object;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ at: fc.nat(1000), value: strange }), { minLength: 1, maxLength: 3 }),
        async (changes) => {
          dict.faults.on({
            kind: 'nonsense',
            operation,
            change: (answer) => strangely(answer, changes),
            times: 1,
          });
          const got = await refusedOr(async () => calls[operation]!(bridge));
          if (got instanceof DvError) {
            expect(got.code).toMatch(/^DV_[A-Z_]+$/);
            for (const secret of [entry.key, entry.name, entry.taxIdNumber])
              expect(got.message).not.toContain(secret);
          } else if (!Array.isArray(got)) {
            expect(Object.keys(got as object)).toEqual(expect.arrayContaining(required(usual, operation)));
          }
        },
      ),
      fuzzing(60),
    );
    dict.faults.clear();
    await calls[operation]!(bridge);
  },
  FUZZ_TIMEOUT,
);

/** What every answer of an operation has. */
function required(usual: object, operation: Operation): string[] {
  return operation === 'getCidSetFile'
    ? ['id', 'status']
    : Object.keys(usual).filter(
        (name) => name !== 'correlationId' && name !== 'syncVerifierStart' && name !== 'syncVerifierEnd',
      );
}
