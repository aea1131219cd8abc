import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from './until.ts';

const MAIN = join(import.meta.dirname, '../../../src/cli/main.ts');

/** A `dict-vsync worker`, as a supervisor would start it. */
export class WorkerProcess {
  readonly #child: ChildProcess;
  readonly #stops: boolean;
  #said = '';

  /** `crashAt` in the form of DICT_VSYNC_CRASH_AT. */
  constructor(environment: Record<string, string>, crashAt = '', nodeOptions: readonly string[] = []) {
    this.#stops = crashAt.startsWith('stop:');
    this.#child = spawn(process.execPath, [...nodeOptions, MAIN, 'worker'], {
      env: { ...process.env, ...environment, ...(crashAt !== '' && { DICT_VSYNC_CRASH_AT: crashAt }) },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#said += text));
  }

  /** What it wrote to stderr: its log. */
  get said(): string {
    return this.#said;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get isReady(): boolean {
    return this.#said.includes('worker ready');
  }

  /** Waits until it has reached a crash point. */
  async reached(point: string): Promise<void> {
    await this.#hasSaid(`crash point ${point}\n`);
    if (this.#stops) await this.frozen();
  }

  async ready(): Promise<void> {
    await this.#hasSaid('worker ready');
  }

  async #hasSaid(text: string): Promise<void> {
    let ended = false;
    await until(() => {
      if (this.#said.includes(text)) return true;
      ended = !this.running;
      return ended || `it has not said ${text}`;
    });
    if (ended) throw new Error(`it ended before it said ${text}:\n${this.#said.slice(-3000)}`);
  }

  /** Waits until it has exited; returns its exit code or signal. */
  async gone(): Promise<number | string | null> {
    if (this.running) await once(this.#child, 'exit');
    return this.#child.exitCode ?? this.#child.signalCode;
  }

  signal(name: NodeJS.Signals): void {
    if (this.running) this.#child.kill(name);
  }

  /** Freezes it, and waits until the system says so. */
  async freeze(): Promise<void> {
    this.signal('SIGSTOP');
    await this.frozen();
  }

  /** Waits until the system says that it is frozen: a SIGCONT before the SIGSTOP would have no effect. */
  async frozen(): Promise<void> {
    const state = () =>
      / ([A-Z]) /.exec(readFileSync(`/proc/${this.#child.pid}/stat`, 'utf8').replace(/\(.*\)/, ''))?.[1];
    await until(() => state() === 'T');
  }

  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.gone();
  }

  /** Stops it as `docker stop` does. */
  async stop(): Promise<number | string | null> {
    this.signal('SIGTERM');
    return this.gone();
  }
}
