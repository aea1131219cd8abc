import type { Command } from 'commander';
import type { Settings } from '../../settings.ts';
import { KEY_TYPES } from '../../dict/entry/key-type.ts';
import { readNotifications, subscribe } from '../../notify/index.ts';
import { ambient, withDatabase } from '../with-database.ts';
import { command, type CommonOptions, wholeNumber } from '../command-options.ts';
import { printNote } from '../output/print.ts';
import { formatEvent } from '../output/format-event.ts';
import { pulsarSettings } from '../../service/pulsar-settings.ts';

interface ListenOptions extends CommonOptions {
  subscription: string;
  fromStart?: boolean;
  most?: number;
}

/** `dict-vsync listen`: plays Core-Dict. */
export function listen(): Command {
  return command(
    'listen',
    'Plays Core-Dict, to try things out: prints the messages of NOTIFY_URL as they come, a line each, until interrupted. ' +
      'With --json each line is the whole message, personal data included.',
    [
      'listen',
      'listen --from-start --most 10 --json',
      'NOTIFY_URL=ws://pulsar:8080 dict-vsync listen --subscription me',
    ],
  )
    .option('--subscription <NAME>', 'whose place in the topic to keep (Pulsar)', 'core-dict')
    .option('--from-start', 'begin with the messages that dict.notifications holds already (Postgres)')
    .option('--most <N>', 'end after so many messages', wholeNumber('--most', 1, 1_000_000_000))
    .action(async (options: ListenOptions) => {
      const { settings } = await ambient();
      const stopping = new AbortController();
      const stop = () => stopping.abort();
      process.once('SIGINT', stop).once('SIGTERM', stop);
      let heard = 0;
      const take = (event: unknown) => {
        if (stopping.signal.aborted) return;
        process.stdout.write(`${options.json === true ? JSON.stringify(event) : formatEvent(event)}\n`);
        if (++heard === options.most) stop();
      };
      try {
        if (settings.NOTIFY_URL === 'postgres:') await fromDatabase(options, take, stopping.signal);
        else await fromPulsar(settings, options, take, stopping.signal);
      } finally {
        process.off('SIGINT', stop).off('SIGTERM', stop);
      }
    });
}

async function fromDatabase(
  options: ListenOptions,
  take: (event: unknown) => void,
  stopping: AbortSignal,
): Promise<void> {
  await withDatabase({}, async ({ pool }) =>
    readNotifications(pool, { fromStart: options.fromStart === true, take }, stopping),
  );
}

async function fromPulsar(
  settings: Settings,
  { subscription }: ListenOptions,
  take: (event: unknown) => void,
  stopping: AbortSignal,
): Promise<void> {
  const subscribing = topicsOf(settings).map(async (topic) =>
    subscribe({
      ...pulsarSettings(settings),
      settingsPrefix: 'NOTIFY',
      topic,
      subscription,
      take: async (messages) =>
        messages.map(({ body }) => {
          if (stopping.aborted) return 'again';
          take(JSON.parse(body.toString('utf8')));
          return 'ack';
        }),
      onConnection: (problem) =>
        printNote(problem === undefined ? `Listening to ${topic}.` : `${problem}: trying again.`),
    }),
  );
  const subscriptions = await Promise.all(subscribing);
  await new Promise<void>((resolve) => {
    if (stopping.aborted) resolve();
    stopping.addEventListener('abort', () => resolve());
  });
  await Promise.all(subscriptions.map(async (running) => running.close()));
}

/** The topics of all streams: one, or one each where NOTIFY_TOPIC names participant or key type. */
function topicsOf({ NOTIFY_TOPIC, PARTICIPANT_ISPB }: Settings): string[] {
  const topics = PARTICIPANT_ISPB.flatMap((participant) =>
    [...KEY_TYPES, 'ALL'].map((keyType) =>
      NOTIFY_TOPIC.replaceAll('{participant}', participant).replaceAll('{keyType}', keyType),
    ),
  );
  return topics.length === 0 ? [NOTIFY_TOPIC] : [...new Set(topics)];
}
