import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import type { Report } from '../../../bench/support/report.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const run = promisify(execFile);

interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a benchmark as `npm run bench` does. */
async function bench(...args: string[]): Promise<Outcome> {
  try {
    const { stdout, stderr } = await run(process.execPath, ['bench/main.ts', ...args], { cwd: root });
    return { code: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as Outcome;
    return { code, stdout, stderr };
  }
}

/** Its JSON, which is all of stdout; each row is complete. */
async function report(...args: string[]): Promise<Report> {
  const { code, stdout, stderr } = await bench(...args, '--json');
  expect(code, stderr).toBe(0);
  const found = JSON.parse(stdout) as Report;
  expect(found.benchmark).toBe(args[0]);
  expect(found.machine.postgres).toMatch(/^\d+/);
  for (const row of found.rows) {
    expect(row.ours, row.what).toBeTypeOf('number');
    expect(row.held === null, row.what).toBe(row.target === null);
    expect(row.ratio === null, row.what).toBe(row.against === null);
  }
  return found;
}

const targets = ({ rows }: Report) => rows.filter(({ target }) => target !== null).map(({ what }) => what);
const rowOf = ({ rows }: Report, what: string) => rows.find((row) => row.what === what);

// Each has a Postgres of its own and mostly waits: for a CID file, for the absence of a worker to be noticed.
describe.concurrent(
  'each benchmark runs, finds what it must and says so in one JSON document',
  { timeout: 180_000 },
  () => {
    // The benchmark itself checks what each method of comparing finds, and fails if it is wrong.
    test('compare', async () => {
      const found = await report(
        'compare',
        '--lines',
        '2k',
        '--different',
        '1k',
        '--memory-lines',
        '1k,2k',
        '--rounds',
        '1',
        '--slow-rounds',
        '1',
      );
      expect(found.sizes).toMatchObject({ lines: 2000, different: 1000, memoryLines: '1000,2000' });
      expect(targets(found)).toEqual([
        '0 differences',
        '50 differences',
        '50 differences',
        'all 1000 different',
        'memory, 2000 lines, 0 differences',
        'memory, 2000 lines, 50 differences',
        'memory, 1000 lines, every CID different',
        'memory, 2000 lines, every CID different',
        'memory, largest file against smallest',
      ]);
    });

    test('vsync', async () => {
      const found = await report('vsync', '--entries', '3k', '--few', '300', '--reads', '4', '--rounds', '1');
      expect(targets(found)).toEqual([
        'read at 300 entries',
        'read at 3000 entries',
        'the same time at both',
      ]);
      expect(rowOf(found, 'read at 3000 entries')!.runs.ours).toHaveLength(4);
    });

    test('trigger', async () => {
      const found = await report(
        'trigger',
        '--entries',
        '10k',
        '--block',
        '10',
        '--blocks',
        '2',
        '--bulk',
        '20k',
        '--rounds',
        '1',
        '--writers',
        '3',
      );
      expect(targets(found)).toEqual([
        'single update',
        'single insert',
        'single delete',
        'insert of 20000 rows',
        'COPY of 20000 rows',
        '3 writers beside an import: transactions',
        '3 writers beside an import: deadlocks',
        "waits for another's commit, ≥ 10 ms",
      ]);
      expect(rowOf(found, '3 writers beside an import: deadlocks')!.held).toBe(true);
    });

    test('repair', async () => {
      const found = await report('repair', '--divergences', '20', '--rounds', '1', '--many', '60');
      expect(targets(found)).toContain('20 divergences applied');
      // 60 CIDs: 15 keys that only DICT has, 15 that only we have, 15 with other values on each side. One CID each is
      // looked up.
      expect(rowOf(found, 'lookups at DICT for them')!.ours).toBeGreaterThanOrEqual(45);
      expect(rowOf(found, 'calls that DICT refused for its limits')!.held).toBe(true);
    });

    test('night', async () => {
      const found = await report('night', '--keys', '200', '--divergent', '6');
      expect(found.sizes).toMatchObject({ divergences: '8,8,8,8,8' });
      expect(targets(found)).toHaveLength(6);
      expect(found.rows.every(({ held }) => held !== false)).toBe(true);
    });
  },
);

test('the table has the same rows for people', async () => {
  const { code, stdout, stderr } = await bench(
    'vsync',
    '--entries',
    '200',
    '--few',
    '100',
    '--reads',
    '2',
    '--rounds',
    '1',
  );
  expect(code, stderr).toBe(0);
  expect(stdout).toMatch(/^machine +\S/);
  expect(stdout).toMatch(/\nread at 200 entries +[\d.]+ ms .* ≤ 5 ms/);
});

test.each([
  [['vsync', '--entries', 'many'], /'--entries <N>' argument 'many' is invalid/],
  [['vsync', '--entries', '-1'], /Give a whole number from 1 on/],
  [['trigger', '--writers', '28'], /Give a whole number from 1 to 27/],
  [['night', '--keys', '10', '--divergent', '11'], /not more than all can differ/],
  [['vsync', '--size', '1'], /unknown option '--size'/],
  [['everything'], /unknown command 'everything'/],
])('wrong usage is reported without a stack: %j', async (args, what) => {
  const { code, stdout, stderr } = await bench(...args, '--json');
  expect(code).toBe(2);
  expect(stderr).toMatch(/^DV_USAGE: /);
  expect(stderr).toMatch(what);
  expect(stderr).not.toMatch(/\n +at /);
  expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'DV_USAGE' } });
});
