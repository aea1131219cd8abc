import { pino, type DestinationStream, type LogFn, type Logger } from 'pino';
import { DvError } from './errors/dv-error.ts';

/**
 * Fields that contain personal data wherever they appear in a log line (DOMAIN: keys, owners, accounts). Our own code
 * never logs them; redacting them is a second protection.
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
  /** True for a terminal: one readable, coloured line per event. False: JSON. */
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
  // In the same thread, because pino's transports need a thread and a file that the single executable does not have.
  const { prettyFactory } = await import('pino-pretty');
  const format = prettyFactory({ colorize: process.stderr.isTTY, ignore: 'service', singleLine: true });
  return pino(options, { write: (line) => out.write(format(line)) });
}

/**
 * An error as it is logged. Only our own errors are logged with their message. The messages of other errors and causes
 * may quote data (those of Postgres do); their stack frames do not.
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

/**
 * Without a message in the call pino logs the error's message. Errors that are not our own are logged with their name.
 */
function withoutForeignText(this: Logger, args: Parameters<LogFn>, log: LogFn): void {
  const first: unknown = args[0];
  const error = first instanceof Error ? first : (first as { err?: unknown } | undefined)?.err;
  if (args.length === 1 && error instanceof Error && !(error instanceof DvError)) args[1] = error.name;
  log.apply(this, args);
}
