import type { CommonOptions } from '../command-options.ts';

/** Prints a command's answer: one JSON document, or text for a person. */
export function printAnswer(options: CommonOptions, json: unknown, text: () => string): void {
  process.stdout.write(options.json === true ? `${JSON.stringify(json, null, 2)}\n` : `${text()}\n`);
}

/** Prints one line to stderr for the person at the terminal, beside the answer. */
export function printNote(line: string): void {
  process.stderr.write(`${line}\n`);
}
