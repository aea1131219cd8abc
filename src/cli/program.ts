import { Command, CommanderError } from 'commander';
import { explain } from './explain-error.ts';
import { printNote } from './output/print.ts';
import { commands } from './commands/index.ts';
import { VERSION } from './version.ts';
import type { ErrorCode } from '../errors/dv-error.ts';

/** For programs that are put together elsewhere: a command is to be of the same library. */
export { Command, InvalidArgumentError } from 'commander';

/** Runs a program with its arguments (without node and script) and answers the exit code: 0, 1 or 2. */
export async function runCli(args: readonly string[], program = createProgram()): Promise<number> {
  // Commands say by it that they answered, and the answer is bad news; it is the caller's to set the process's.
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

/** What the command that ran has left; read here because the compiler believes it is still undefined there. */
function exitCode(): number {
  return Number(process.exitCode ?? 0);
}

/** The program with all its commands. */
export function createProgram(): Command {
  return programOf('dict-vsync', "Keeps a participant's Pix keys identical to BACEN's DICT.", commands());
}

/** A program of these commands, which throw instead of ending the process. */
export function programOf(name: string, description: string, itsCommands: readonly Command[]): Command {
  const program = new Command(name)
    .description(description)
    .version(VERSION)
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'DV_USAGE: ')) })
    .showHelpAfterError('(--help shows how it is used)')
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

/** Commander has written already what is wrong, or the help. */
function usageExit(error: CommanderError, args: readonly string[]): number {
  if (error.exitCode === 0) return 0;
  const message = error.message.replace(/^error: /, '');
  answerError(args, 'DV_USAGE', error.code === 'commander.help' ? 'Name a command.' : message);
  return 2;
}

function answerError(args: readonly string[], code: ErrorCode, message: string): void {
  if (!args.includes('--json')) return;
  process.stdout.write(`${JSON.stringify({ error: { code, message } }, null, 2)}\n`);
}
