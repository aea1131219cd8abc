import { Command, CommanderError } from 'commander';
import { explain, tell } from './cli.ts';
import { commands } from './commands.ts';
import { VERSION } from './version.ts';

/** Runs the program with its arguments (without node and script) and answers the exit code. */
async function main(args: string[]): Promise<number> {
  const program = new Command('dict-vsync')
    .description("Keeps a participant's Pix keys identical to BACEN's DICT.")
    .version(VERSION)
    .showHelpAfterError('(--help shows how it is used)')
    .addHelpText('after', '\nExit codes: 0 success, 1 the job failed, 2 wrong usage or configuration.');
  for (const command of commands()) program.addCommand(command);
  for (const command of [program, ...program.commands, ...program.commands.flatMap((c) => c.commands)])
    command.exitOverride();
  try {
    await program.parseAsync(args, { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const { code, message, exitCode } = explain(error);
    if (args.includes('--json'))
      process.stdout.write(`${JSON.stringify({ error: { code, message } }, null, 2)}\n`);
    tell(`${code}: ${message}`);
    return exitCode;
  }
}

process.exitCode = await main(process.argv.slice(2));
