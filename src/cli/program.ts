import { Command, CommanderError } from 'commander';
import { explain } from './explain-error.ts';
import { printNote } from './output/print.ts';
import { commands } from './commands/index.ts';
import { VERSION } from './version.ts';
import type { ErrorCode } from '../errors/dv-error.ts';

/** For programs that are built elsewhere from these commands: they must use the same library. */
export { Command, InvalidArgumentError } from 'commander';

/** Runs a program with its arguments (without node and script). Returns the exit code: 0, 1 or 2. */
export async function runCli(args: readonly string[], program = createProgram()): Promise<number> {
  // A command sets process.exitCode when it succeeded with a negative answer. Only the caller sets it for the process.
  const before = process.exitCode;
  process.exitCode = undefined;
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode();
  } catch (error) {
    if (error instanceof CommanderError) return usageExit(error, args);
    const known = explain(error);
    answerError(args, known.code, known.message);
    printNote(`${known.code}: ${known.message}`);
    return known.exitCode;
  } finally {
    process.exitCode = before;
  }
}

/** The exit code that the command set. Read in a function, because the compiler would assume it is still undefined. */
function exitCode(): number {
  return Number(process.exitCode ?? 0);
}

/** The program with all its commands. */
export function createProgram(): Command {
  return programOf('dict-vsync', "Keeps a participant's Pix keys identical to BACEN's DICT.", commands());
}

/** A program with these commands. They throw instead of ending the process. */
export function programOf(name: string, description: string, itsCommands: readonly Command[]): Command {
  const program = new Command(name)
    .description(description)
    .version(VERSION)
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'DV_USAGE: ')) })
    .showHelpAfterError('Use --help for usage.')
    .addHelpText('after', '\nExit codes: 0 success, 1 the job failed, 2 wrong usage or configuration.');
  for (const command of itsCommands) program.addCommand(command);
  inheritSettings(program);
  return program;
}

function inheritSettings(parent: Command): void {
  for (const command of parent.commands) {
    command.copyInheritedSettings(parent);
    inheritSettings(command);
  }
}

/** Commander has already printed the error or the help. */
function usageExit(error: CommanderError, args: readonly string[]): number {
  if (error.exitCode === 0) return 0;
  const message = error.message.replace(/^error: /, '');
  answerError(args, 'DV_USAGE', error.code === 'commander.help' ? 'Give a command.' : message);
  return 2;
}

function answerError(args: readonly string[], code: ErrorCode, message: string): void {
  if (!args.includes('--json')) return;
  process.stdout.write(`${JSON.stringify({ error: { code, message } }, null, 2)}\n`);
}
