import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, vi } from 'vitest';
import { runCli } from '../../../src/cli/program.ts';
import { SETTING_NAMES } from '../../../src/settings.ts';

/** How a command ended. */
export interface Ended {
  exitCode: number | null;
  stdout: string;
  stderr: string;
  /** The one document on stdout; fails when stdout has anything else. */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- each test knows its document
  json<T = Record<string, unknown>>(): T;
}

export interface Given {
  /** Settings, including DATABASE_URL. The others have the defaults of an empty environment. */
  env?: Record<string, string>;
  stdin?: string | Buffer | AsyncGenerator<Buffer>;
}

const PROGRAM = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url));

/** Runs a command in this process. */
export async function cli(args: readonly string[], given: Given = {}): Promise<Ended> {
  for (const name of SETTING_NAMES) vi.stubEnv(name, given.env?.[name]);
  // The log goes to the file descriptor, past the spies.
  vi.stubEnv('LOG_LEVEL', given.env?.['LOG_LEVEL'] ?? 'silent');
  const stdout = capture(process.stdout);
  const stderr = capture(process.stderr);
  const { stdin: input = '' } = given;
  const source = typeof input === 'string' || Buffer.isBuffer(input) ? [Buffer.from(input)] : input;
  const stdin = vi
    .spyOn(process, 'stdin', 'get')
    .mockReturnValue(Readable.from(source) as unknown as typeof process.stdin);
  try {
    const exitCode = await runCli(args);
    return ended(exitCode, stdout.written(), stderr.written());
  } finally {
    stdin.mockRestore();
    stdout.spy.mockRestore();
    stderr.spy.mockRestore();
    vi.unstubAllEnvs();
  }
}

/** Runs a command as its users do, in a process of its own. */
export async function spawned(
  args: readonly string[],
  given: Given & { program?: string; nodeFlags?: readonly string[] } = {},
): Promise<Ended> {
  const child = start(args, given);
  child.stdin.end(given.stdin ?? '');
  const [stdout, stderr, [exitCode]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit') as Promise<[number | null]>,
  ]);
  return ended(exitCode, stdout, stderr);
}

/** Starts a command as a process of its own. */
export function start(
  args: readonly string[],
  given: Given & { program?: string; nodeFlags?: readonly string[] } = {},
) {
  const { PATH = '', HOME = '' } = process.env;
  return spawn(process.execPath, [...(given.nodeFlags ?? []), given.program ?? PROGRAM, ...args], {
    env: { PATH, HOME, LOG_LEVEL: 'warn', ...given.env },
    stdio: 'pipe',
  });
}

/** Expects a refusal: its exit code, its coded sentence on stderr, and no stack trace. */
export function expectRefusal(outcome: Ended, exitCode: 1 | 2, code: string): void {
  expect({ exitCode: outcome.exitCode, stderr: outcome.stderr }).toEqual({
    exitCode,
    stderr: expect.stringMatching(new RegExp(`^${code}: .`, 'm')) as string,
  });
  expect(outcome.stderr).not.toMatch(/\n\s+at /);
}

function ended(exitCode: number | null, stdout: string, stderr: string): Ended {
  return { exitCode, stdout, stderr, json: () => JSON.parse(stdout) as never };
}

function capture(stream: NodeJS.WriteStream) {
  const parts: string[] = [];
  const spy = vi.spyOn(stream, 'write').mockImplementation((part) => {
    parts.push(String(part));
    return true;
  });
  return { spy, written: () => parts.join('') };
}
