import { afterAll, beforeAll, describe, test } from 'vitest';
import { Bank } from './bank.ts';
import { breakAt, MODES, type Mode } from './modes.ts';
import { crashPoints } from './points.ts';

const rounds = Number(process.env['CHAOS_ROUNDS'] ?? 1);
const modes = (Object.keys(MODES) as Mode[]).filter((mode) =>
  new RegExp(process.env['CHAOS_MODE'] ?? '').test(mode),
);
const points = crashPoints().filter((point) => new RegExp(process.env['CHAOS_POINT'] ?? '').test(point));

describe.each(Array.from({ length: rounds }, (_, n) => n + 1))('round %i', () => {
  describe.each(modes)('%s', (mode) => {
    let bank: Bank;
    beforeAll(async () => {
      bank = await Bank.open();
    });
    afterAll(async () => bank.close());
    test.each(points)('at %s', async (point) => breakAt(bank, point, mode));
  });
});
