import { type Command, Option } from 'commander';
import { listUndelivered, retryDead, type Undelivered } from '../../notify/index.ts';
import { DvError } from '../../errors/dv-error.ts';
import { printAnswer } from '../output/print.ts';
import { command, type CommonOptions, group, wholeNumber } from '../command-options.ts';
import { withDatabase } from '../with-database.ts';
import { formatCount, table, formatTime } from '../output/format.ts';

interface ListOptions extends CommonOptions {
  dead?: true;
  waiting?: true;
  limit: number;
}

/** `dict-vsync outbox`: undelivered messages to Core-Dict, and alerts. */
export function outbox(): Command {
  return group(
    'outbox',
    'Lists or retries undelivered messages to Core-Dict and undelivered alerts (docs/guides/core-dict.md).',
    ['outbox list --dead', 'outbox retry --all'],
  )
    .addCommand(list())
    .addCommand(retry());
}

function list(): Command {
  return command(
    'list',
    'Lists undelivered messages, without their content: WAITING ones will be delivered, DEAD ones were refused by the transport.',
    ['outbox list', 'outbox list --dead --json'],
  )
    .addOption(new Option('--dead', 'only dead messages').conflicts('waiting'))
    .option('--waiting', 'only waiting messages')
    .option('--limit <N>', 'show at most N messages', wholeNumber('--limit', 1, 1_000_000), 100)
    .action(async (options: ListOptions) => {
      const state = options.dead === true ? 'DEAD' : options.waiting === true ? 'WAITING' : undefined;
      await withDatabase({}, async ({ pool }) => {
        const found = await listUndelivered(pool, { state, limit: options.limit });
        printAnswer(options, found, () => show(found));
      });
    });
}

function retry(): Command {
  return command('retry', 'Sends dead messages again, with the same ids, at the end of their streams.', [
    'outbox retry --all',
    'outbox retry 01a2b3c4-d5e6-7f80-9a1b-2c3d4e5f6071 --json',
  ])
    .argument('[ID...]', 'ids of dead messages')
    .option('--all', 'all dead messages')
    .action(async (ids: string[], options: CommonOptions & { all?: true }) => {
      if ((options.all === true) === ids.length > 0) {
        throw new DvError('DV_USAGE', 'Give the ids of the messages to send again, or --all.');
      }
      if (!ids.every((id) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id))) {
        throw new DvError(
          'DV_USAGE',
          'The id of a message is a UUID. List the ids with `dict-vsync outbox list --dead`.',
        );
      }
      await withDatabase({}, async ({ pool }) => {
        const again = await retryDead(pool, options.all === true ? undefined : ids);
        printAnswer(options, { again }, () =>
          again === 0 ? 'There are no dead messages.' : `${formatCount(again)} messages will be sent again.`,
        );
      });
    });
}

function show({ waiting, dead, messages }: Awaited<ReturnType<typeof listUndelivered>>): string {
  const counts = `${formatCount(waiting)} waiting, ${formatCount(dead)} dead.`;
  if (messages.length === 0) return counts;
  const header = ['id', 'participant', 'key type', 'sequence', 'type', 'since', 'state', 'attempts', 'error'];
  return `${table([...header, 'not before'], messages.map(cells))}\n${counts}`;
}

function cells(message: Undelivered): string[] {
  return [
    message.id,
    message.participant,
    message.keyType,
    message.sequence,
    message.destination === 'ALERT' ? `alert ${message.type}` : message.type,
    formatTime(message.createdAt),
    message.state,
    String(message.attempts),
    message.errorCode ?? '',
    message.retryAt === null ? '' : formatTime(message.retryAt),
  ];
}
