import { pino, type DestinationStream, type Logger } from 'pino';

/**
 * Fields that hold personal data wherever they turn up in a log line (DOMAIN: keys, owners, accounts). Nothing of
 * ours logs them; this is the net below.
 */
const PERSONAL = [
  'key',
  'taxIdNumber',
  'tax_id_number',
  'name',
  'tradeName',
  'trade_name',
  'accountNumber',
  'account_number',
  'branch',
  'entry',
  'before',
  'after',
];

export interface LogOptions {
  level: string;
  /** For a terminal: colours and one readable line each; else JSON. */
  pretty: boolean;
  /** Default: stderr, so that stdout stays for a command's answer. */
  destination?: DestinationStream;
}

/** The program's logger: structured, personal data redacted up to three levels deep. */
export async function createLog({ level, pretty, destination }: LogOptions): Promise<Logger> {
  const out = destination ?? pino.destination({ dest: 2, sync: true });
  const options = {
    level,
    base: { service: 'dict-vsync' },
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths: PERSONAL.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]), censor: '[personal]' },
  };
  if (!pretty) return pino(options, out);
  // In the same thread: pino's transports need a thread and a file that the single binary has not.
  const { default: prettyStream } = await import('pino-pretty');
  return pino(
    options,
    prettyStream({ destination: out, colorize: process.stderr.isTTY, ignore: 'pid,hostname,service', sync: true }),
  );
}
