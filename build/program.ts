import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';

/** A process of the built program. */
export interface Running {
  child: ChildProcessWithoutNullStreams;
  /** Its output so far. */
  out: { stdout: string; stderr: string };
  /** Its exit code, when it has ended. */
  ended: Promise<number | null>;
}

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/**
 * The built program, started as on a machine where nothing else is installed: in a separate folder, and with an
 * environment that has only this folder as PATH and what a test adds. `command` is the executable, or a Node with its
 * script.
 */
export class Program {
  readonly #command: readonly [string, ...string[]];
  readonly #folder: string;
  readonly #running = new Set<ChildProcessWithoutNullStreams>();

  constructor(command: readonly [string, ...string[]], folder: string) {
    this.#command = command;
    this.#folder = folder;
  }

  start(args: readonly string[], environment: Record<string, string> = {}): Running {
    const [file, ...first] = this.#command;
    const child = spawn(file, [...first, ...args], {
      cwd: this.#folder,
      env: { PATH: this.#folder, ...environment },
    });
    this.#running.add(child);
    const out = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out.stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (out.stderr += text));
    const ended = once(child, 'close').then(([code]) => {
      this.#running.delete(child);
      return code as number | null;
    });
    return { child, out, ended };
  }

  async run(args: readonly string[], environment: Record<string, string> = {}, stdin = ''): Promise<Ended> {
    const { child, out, ended } = this.start(args, environment);
    child.stdin.end(stdin);
    return { code: await ended, ...out };
  }

  /** The --json document of a command that must end with this exit code. */
  async json<T>(args: readonly string[], environment: Record<string, string>, exitCode = 0): Promise<T> {
    const { code, stdout, stderr } = await this.run([...args, '--json'], environment);
    if (code !== exitCode) throw new Error(`${args.join(' ')} ended with ${code}: ${stdout}${stderr}`);
    return JSON.parse(stdout) as T;
  }

  /** Kills the processes that a failed test has left running. */
  killAll(): void {
    for (const child of this.#running) child.kill('SIGKILL');
  }
}
