import { Command, Option } from 'commander';
import { userInfo } from 'node:os';
import type { Settings } from '../settings.ts';
import { parseIspb } from '../dict/entry/ispb.ts';
import { type KeyType, parseKeyType } from '../dict/entry/key-type.ts';
import { DvError } from '../errors/dv-error.ts';

/** Options of every command that prints an answer. */
export interface CommonOptions {
  json?: boolean | undefined;
}

/** A command with a summary, examples and --json. */
export function command(name: string, summary: string, examples: readonly string[]): Command {
  return group(name, summary, examples).option('--json', 'print exactly one JSON document on stdout');
}

/** A command that only contains other commands. */
export function group(name: string, summary: string, examples: readonly string[]): Command {
  return new Command(name)
    .description(summary)
    .addHelpText('after', `\nExamples:\n${examples.map((line) => `  $ ${wholeLine(line)}`).join('\n')}`);
}

/** The complete example. One that sets a variable or pipes something in already names the program. */
function wholeLine(example: string): string {
  const [typed = ''] = example.split('#');
  return typed.includes('dict-vsync ') ? example : `dict-vsync ${example}`;
}

/** --participant ISPB. */
export function participantOption(): Option {
  return new Option(
    '--participant <ISPB>',
    'the participant, 8 digits (default: those of PARTICIPANT_ISPB)',
  ).argParser(asUsage(parseIspb));
}

/** --key-type T …: one or more key types. */
export function keyTypesOption(): Option {
  return new Option(
    '--key-type <T...>',
    'key types: CPF, CNPJ, PHONE, EMAIL, EVP (default: all five)',
  ).argParser(
    asUsage((value: string, before?: KeyType[]) => [...(before ?? []), parseKeyType(value.toUpperCase())]),
  );
}

/** A parser for the value of a flag. Its errors exit with 2, as wrong usage. */
export function asUsage<A extends unknown[], T>(parse: (...args: A) => T): (...args: A) => T {
  return (...args) => {
    try {
      return parse(...args);
    } catch (error) {
      if (error instanceof DvError) throw new DvError(error.code, error.message, { exit: 2, cause: error });
      throw error;
    }
  };
}

/** A parser for a flag that takes a whole number between two bounds. */
export function wholeNumber(name: string, min: number, max: number): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (/^\d+$/.test(value) && number >= min && number <= max) return number;
    throw new DvError('DV_USAGE', `${name} takes a whole number from ${min} to ${max}.`);
  };
}

/** A parser for a flag that takes one of several words. `fold` converts what was typed to their case. */
export function oneOf(
  name: string,
  words: readonly string[],
  fold = (value: string) => value,
): (value: string) => string {
  return (value) => {
    if (words.includes(fold(value))) return fold(value);
    throw new DvError('DV_USAGE', `Unknown ${name} "${value.slice(0, 40)}". Use one of ${words.join(', ')}.`);
  };
}

/** --by NAME: who asks for it. Default: the user of the operating system. */
export function byOption(): Option {
  return new Option('--by <NAME>', 'who asks for it; kept in the history').default(
    osUser(),
    'your user name',
  );
}

function osUser(): string {
  try {
    return userInfo().username;
  } catch {
    // A user id without a name, as in a container.
    return `uid ${process.getuid?.()}`;
  }
}

/** The participants of a command: the one given, otherwise the configured ones. May be empty. */
export function participantsOf(options: { participant?: string }, settings: Settings): string[] {
  return options.participant === undefined ? settings.PARTICIPANT_ISPB : [options.participant];
}
