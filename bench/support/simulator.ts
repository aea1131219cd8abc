import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { scriptEnvironment } from './child.ts';
import type { SimulatorCalls, SimulatorInput, SimulatorReady } from './simulator-process.ts';

/** A DICT simulator in a process of its own, so that it uses nothing of the service that is measured. */
export interface SimulatorProcess extends SimulatorReady {
  /** Ends it; returns its calls. */
  stop(): Promise<SimulatorCalls>;
}

/** Starts it and waits until DICT can be called and the local base is loaded. 5 million keys need 5 GB. */
export async function startSimulatorProcess(
  input: SimulatorInput,
  resources: AsyncDisposableStack,
): Promise<SimulatorProcess> {
  const script = new URL('./simulator-process.ts', import.meta.url);
  const child = spawn(process.execPath, ['--max-old-space-size=12288', script.pathname], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: scriptEnvironment(input),
  });
  resources.defer(() => void child.kill());
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async <T>(): Promise<T> => {
    const line = await lines.next();
    if (line.done === true) throw new Error('The simulator ended before it answered.');
    return JSON.parse(line.value) as T;
  };
  return {
    ...(await next<SimulatorReady>()),
    async stop() {
      child.stdin.end();
      return next<SimulatorCalls>();
    },
  };
}
