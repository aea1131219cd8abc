import { fields, formatCount, table } from '../../src/cli/output/format.ts';
import type { Machine } from './hardware.ts';
import type { Row, Unit } from './rows.ts';

/** A benchmark's JSON document. */
export interface Report {
  benchmark: string;
  startedAt: string;
  seconds: number;
  machine: Machine & { postgres: string };
  postgresSettings: Record<string, string>;
  sizes: Record<string, number | string>;
  rows: Row[];
  notes: string[];
}

export function printReport(report: Report, json: boolean): void {
  if (json) {
    console.log(JSON.stringify(report));
    return;
  }
  const { machine, sizes } = report;
  console.log(
    fields([
      [
        'machine',
        `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GB, load ${machine.loadBefore} before`,
      ],
      ['with', `Node ${machine.node}, Postgres ${machine.postgres}, ${machine.platform}`],
      ['Postgres', pairs(report.postgresSettings)],
      ['sizes', pairs(sizes)],
      ['took', `${formatCount(report.seconds)} s`],
    ]),
  );
  console.log();
  console.log(
    table(
      ['what', 'ours', 'against', 'theirs', 'ratio', 'target', 'held', 'rounds'],
      report.rows.map((row) => [
        row.what,
        figure(row.ours, row.unit),
        row.against ?? '',
        row.theirs === null ? '' : figure(row.theirs, row.unit),
        row.ratio === null ? '' : `${row.ratio.toPrecision(3)}×`,
        row.target ?? '',
        row.held === null ? '' : row.held ? 'yes' : 'NO',
        String(row.runs.ours.length),
      ]),
    ),
  );
  for (const note of report.notes) console.log(`\n${note}`);
}

function pairs(of: Record<string, number | string>): string {
  return Object.entries(of)
    .map(([name, value]) => `${name} ${typeof value === 'number' ? formatCount(value) : value}`)
    .join(', ');
}

function figure(value: number, unit: Unit): string {
  const digits = value >= 100 ? formatCount(value) : String(Number(value.toPrecision(3)));
  return `${digits} ${unit}`.trimEnd();
}
