import { InvalidArgumentError } from '../../src/cli/program.ts';

/** A parser of a flag's integer from `least` to `most`; it understands "10m" and "20k". */
export function count(least: number, most = Number.MAX_SAFE_INTEGER): (value: string) => number {
  return (value) => {
    const [, digits, unit] = /^([0-9]+)([km]?)$/.exec(value.toLowerCase().replaceAll('_', '')) ?? [];
    const number = Number(digits) * (unit === 'm' ? 1e6 : unit === 'k' ? 1e3 : 1);
    if (number >= least && number <= most) return number;
    const range = most === Number.MAX_SAFE_INTEGER ? `from ${least} on` : `from ${least} to ${most}`;
    throw new InvalidArgumentError(`Give a whole number ${range}, e.g. 20000, 20k or 10m.`);
  };
}

/** A parser of several such numbers, separated by commas. */
export function counts(least: number): (value: string) => number[] {
  return (value) => value.split(',').map(count(least));
}
