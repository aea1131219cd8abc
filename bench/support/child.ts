import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';

const INPUT = 'BENCH_INPUT';

/** What a process used, from its start to its end. */
export interface ProcessRun<T> {
  seconds: number;
  answer: T;
}

/** Runs a program to its end; undefined where the program does not exist. Throws when it fails. */
export async function runProgram(
  program: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv = process.env,
): Promise<ProcessRun<string> | undefined> {
  const began = performance.now();
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: environment,
  });
  const output = text(child.stdout);
  try {
    const [code] = (await once(child, 'close')) as [number | null];
    if (code !== 0) throw new Error(`${program} ended with ${code ?? 'a signal'}.`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  return { seconds: (performance.now() - began) / 1000, answer: await output };
}

/**
 * Runs one of our scripts in a Node process of its own, so that its memory is its own; returns the answer it prints.
 */
export async function runScript<T>(
  script: URL,
  input: unknown,
  nodeOptions: readonly string[] = [],
): Promise<ProcessRun<T>> {
  const run = await runProgram(process.execPath, [...nodeOptions, script.pathname], scriptEnvironment(input));
  if (run === undefined) throw new Error('Node was not found.');
  return { seconds: run.seconds, answer: JSON.parse(run.answer) as T };
}

/** The environment in which our script finds its input. */
export function scriptEnvironment(input: unknown): NodeJS.ProcessEnv {
  return { ...process.env, [INPUT]: JSON.stringify(input) };
}

/** In the script: its input. */
export function scriptInput<T>(): T {
  return JSON.parse(process.env[INPUT] ?? 'null') as T;
}

/** In the script: its answer, once. */
export function printAnswer(answer: unknown): void {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

/** The most memory this process ever used, in MB. */
export function peakMemoryMb(): number {
  // Not getrusage: on Linux its maximum begins with that of the process that started this one.
  if (process.platform === 'linux') {
    const kilobytes = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    return Number(kilobytes) / 1024;
  }
  return process.resourceUsage().maxRSS / 1024;
}
