import fc from 'fast-check';
import { DvError } from '../../../src/errors/dv-error.ts';

/**
 * How long to fuzz: a fixed number of runs in `npm test`; with FUZZ_MINUTES=120 each test continues for that time.
 * FUZZ_SEED repeats the same sequence.
 */
export function fuzzing(numRuns: number): fc.Parameters<unknown> & { verbose: true } {
  const minutes = Number(process.env['FUZZ_MINUTES'] ?? 0);
  const seed = process.env['FUZZ_SEED'];
  return {
    verbose: true,
    numRuns: minutes > 0 ? 1_000_000_000 : numRuns,
    ...(minutes > 0 && { interruptAfterTimeLimit: minutes * 60_000, markInterruptAsFailure: false }),
    ...(seed !== undefined && { seed: Number(seed) }),
  };
}

/** A test's time limit, longer than what fuzzing() takes. */
export const FUZZ_TIMEOUT = 60_000 + Number(process.env['FUZZ_MINUTES'] ?? 0) * 90_000;

/** A change of some bytes: what disks, proxies and other programs do to files. */
type Damage = { at: number; remove: number; insert: Uint8Array };

export const damages = fc.array(
  fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    remove: fc.oneof(fc.constant(0), fc.nat(3), fc.nat(200)),
    insert: fc.oneof(
      fc.uint8Array({ maxLength: 3 }),
      fc
        .constantFrom('\n', '\r\n', '"', ',', '\0', 'é', '\uFEFF', '\n\n', '","', 'ff')
        .map((text) => Buffer.from(text)),
    ),
  }),
  { minLength: 1, maxLength: 6 },
);

export function damaged(content: Buffer, changes: readonly Damage[]): Buffer {
  let result = content;
  for (const { at, remove, insert } of changes) {
    const from = Math.floor(at * result.length);
    result = Buffer.concat([result.subarray(0, from), insert, result.subarray(from + remove)]);
  }
  return result;
}

/** What `work` returns, or the coded error it refuses with; any other error is thrown on, and fails the test. */
export async function refusedOr<T>(work: () => Promise<T>): Promise<T | DvError> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof DvError) return error;
    throw error;
  }
}
