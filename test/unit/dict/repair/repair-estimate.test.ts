import { expect, test } from 'vitest';
import { emptyBuckets, minimumDivergence } from '../../../../src/dict/compare/buckets.ts';
import { refuseHopelessRepair, repairHours } from '../../../../src/dict/repair/repair-estimate.ts';

test("the tokens in DICT's bucket take no time, the rest 1,200 a minute", () => {
  expect(repairHours(0)).toBe(0);
  expect(repairHours(36_000)).toBe(0);
  expect(repairHours(36_000 + 72_000)).toBe(1);
});

test('a repair within the limit is not refused, one CID more is', () => {
  const most = 36_000 + 24 * 72_000;
  expect(() => refuseHopelessRepair(most, 24)).not.toThrow();
  expect(() => refuseHopelessRepair(most + 1, 24)).toThrow(
    expect.objectContaining({ code: 'DV_REPAIR_TOO_LONG', class: 'not_retryable' }),
  );
  expect(() => refuseHopelessRepair(36_000, 0)).not.toThrow();
});

test('an empty base against a file of 100 million CIDs is refused from the counts alone, with the days it would take', () => {
  const buckets = emptyBuckets();
  buckets.counts.fill(Math.ceil(100_000_000 / buckets.counts.length));
  const fewest = minimumDivergence({ buckets }, emptyBuckets());
  expect(fewest).toBeGreaterThanOrEqual(100_000_000);
  expect(() => refuseHopelessRepair(fewest, 24)).toThrow('58 days');
});

test.each([
  [36_000 + 72_000 / 3, '1 hour.'],
  [36_000 + 72_000 * 25, '25 hours.'],
  [36_000 + 72_000 * 48, '2 days.'],
])('%i CIDs would take %s', (cids, estimate) => {
  expect(() => refuseHopelessRepair(cids, 0.1)).toThrow(`would take ${estimate}`);
});

test('the counts alone give the minimum number of divergences, on either side', () => {
  const [file, local] = [emptyBuckets(), emptyBuckets()];
  file.counts.set([5, 0, 7, 3]);
  local.counts.set([2, 4, 7]);
  expect(minimumDivergence({ buckets: file }, local)).toBe(3 + 4 + 0 + 3);
  expect(minimumDivergence({ buckets: local }, file)).toBe(10);
});
