import type { Command } from 'commander';
import { demo } from './demo.ts';
import { worker } from './worker.ts';

/** Every command, in the order the help shows them. */
export function commands(): Command[] {
  return [demo(), worker()];
}
