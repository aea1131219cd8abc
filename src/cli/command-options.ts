import { Command, Option } from 'commander';
import { userInfo } from 'node:os';
import type { Settings } from '../settings.ts';
import { parseIspb } from '../dict/entry/ispb.ts';
import { type KeyType, parseKeyType } from '../dict/entry/key-type.ts';
import { DvError } from '../errors/dv-error.ts';

/** Options every command that answers has. */
export interface CommonOptions {
  json?: boolean | undefined;
}

/** A command of its own file: declares its options and help, and what it does. */
export function command(name: string, summary: string, examples: readonly string[]): Command {
  return group(name, summary, examples).option('--json', 'print exactly one JSON document on stdout');
}

/** A command that only holds others. */
export function group(name: string, summary: string, examples: readonly string[]): Command {
  return new Command(name)
    .description(summary)
    .addHelpText('after', `\nExamples:\n${examples.map((line) => `  $ ${wholeLine(line)}`).join('\n')}`);
}

/** An example as it is typed: it may set a variable, or pipe something in, before it names the program itself. */
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

/** --key-type T …: one or several. */
export function keyTypesOption(): Option {
  return new Option(
    '--key-type <T...>',
    'key types: CPF, CNPJ, PHONE, EMAIL, EVP (default: all five)',
  ).argParser(
    asUsage((value: string, before?: KeyType[]) => [...(before ?? []), parseKeyType(value.toUpperCase())]),
  );
}

/** A parser of a flag's value whose refusal is wrong usage. */
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

/** A whole number between two bounds, for a flag. */
export function wholeNumber(name: string, min: number, max: number): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (/^\d+$/.test(value) && number >= min && number <= max) return number;
    throw new DvError('DV_USAGE', `${name} takes a whole number from ${min} to ${max}.`);
  };
}

/** One of some words, for a flag; `fold` brings what was typed to their case. */
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

/** --by NAME: who steers, by default the user of the operating system. */
export function byOption(): Option {
  return new Option('--by <NAME>', 'who asks for it; kept in the history').default(osUser(), 'you');
}

function osUser(): string {
  try {
    return userInfo().username;
  } catch {
    // A user id without a name, as in a container.
    return `uid ${process.getuid?.()}`;
  }
}

/** The participants a command is about: the one asked for, else the configured ones; none when there are none. */
export function participantsOf(options: { participant?: string }, settings: Settings): string[] {
  return options.participant === undefined ? settings.PARTICIPANT_ISPB : [options.participant];
}
