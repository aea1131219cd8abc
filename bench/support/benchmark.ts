import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
// Not from 'commander': beside the peers' packages that is another version.
import { Command } from '../../src/cli/program.ts';
import { thisMachine } from './hardware.ts';
import type { BenchDatabase } from './postgres.ts';
import { printReport, type Report } from './report.ts';
import type { Row } from './rows.ts';

/** What a benchmark works with. */
export interface Bench {
  /** A temporary folder of its own. */
  directory: string;
  /** Closed after the benchmark, the last one first. */
  resources: AsyncDisposableStack;
  /** Shows progress on stderr. */
  say(line: string): void;
}

export interface Findings {
  /** The sizes to measure, as given or by default. */
  sizes: Record<string, number | string>;
  database: Pick<BenchDatabase, 'version' | 'settings'>;
  rows: Row[];
  /** How it was measured, where the rows don't say so. */
  notes: string[];
}

/** A command that measures and prints a table or one JSON document. A missed target does not make it fail. */
export function benchmark<O extends object>(
  name: string,
  summary: string,
  declare: (command: Command) => Command,
  measure: (options: O, bench: Bench) => Promise<Findings>,
): Command {
  return declare(new Command(name).description(summary))
    .option('--json', 'print exactly one JSON document on stdout')
    .action(async (options: O & { json?: boolean }) => {
      const began = new Date();
      const machine = thisMachine();
      const resources = new AsyncDisposableStack();
      const directory = await mkdtemp(join(tmpdir(), `dict-vsync-bench-${name}-`));
      resources.defer(async () => rm(directory, { recursive: true, force: true }));
      for (const signal of ['SIGINT', 'SIGTERM'] as const) {
        process.once(signal, () => void resources.disposeAsync().finally(() => process.exit(130)));
      }
      const say = (line: string) =>
        console.error(`${((Date.now() - began.getTime()) / 1000).toFixed(0).padStart(5)} s  ${line}`);
      let findings: Findings;
      try {
        findings = await measure(options, { directory, resources, say });
      } finally {
        await resources.disposeAsync();
      }
      const { database, ...found } = findings;
      const report: Report = {
        benchmark: name,
        startedAt: began.toISOString(),
        seconds: Math.round((Date.now() - began.getTime()) / 1000),
        machine: { ...machine, postgres: database.version },
        postgresSettings: database.settings,
        ...found,
      };
      printReport(report, options.json === true);
    });
}
