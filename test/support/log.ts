import type { Logger } from 'pino';
import { createLog } from '../../src/log.ts';

/** One line of the log, parsed. */
export type LogLine = Record<string, unknown> & { msg: string; level: number };

/** A log in the service's format, kept in memory. */
export async function capturedLog(
  level: string,
): Promise<{ log: Logger; text: () => string; lines: () => LogLine[] }> {
  const written: string[] = [];
  const log = await createLog({
    level,
    pretty: false,
    destination: { write: (line: string) => void written.push(line) },
  });
  return {
    log,
    text: () => written.join(''),
    lines: () => written.map((line) => JSON.parse(line) as LogLine),
  };
}
