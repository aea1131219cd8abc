import { pino, type DestinationStream, type LogFn, type Logger } from 'pino';
import { DvError } from './errors/dv-error.ts';

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
    serializers: { err: loggedError, error: loggedError },
    hooks: { logMethod: withoutForeignText },
    redact: {
      paths: PERSONAL.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]),
      censor: '[personal]',
    },
  };
  if (!pretty) return pino(options, out);
  // In the same thread: pino's transports need a thread and a file that the single binary has not.
  const { prettyFactory } = await import('pino-pretty');
  const format = prettyFactory({ colorize: process.stderr.isTTY, ignore: 'service', singleLine: true });
  return pino(options, { write: (line) => out.write(format(line)) });
}

/**
 * An error as it is logged: only errors of ours with their text. Others, causes too, may quote data in theirs (as
 * Postgres does), their frames do not.
 */
function loggedError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { code } = error as { code?: unknown };
  const known = error instanceof DvError;
  return {
    type: error.constructor.name,
    code: typeof code === 'string' ? code : undefined,
    ...(known && { class: error.class, message: error.message, correlationId: error.correlationId }),
    frames: (error.stack ?? '').split('\n').filter((line) => line.startsWith('    at ')),
    cause: error.cause === undefined ? undefined : loggedError(error.cause),
  };
}

/** Without a message pino takes the error's: not that of a foreign error. */
function withoutForeignText(this: Logger, args: Parameters<LogFn>, log: LogFn): void {
  const first: unknown = args[0];
  const error = first instanceof Error ? first : (first as { err?: unknown } | undefined)?.err;
  if (args.length === 1 && error instanceof Error && !(error instanceof DvError)) args[1] = error.name;
  log.apply(this, args);
}
