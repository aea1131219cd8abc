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

/** `dict-vsync listen`: stands in for Core-Dict and prints its messages. */
export function listen(): Command {
  return command(
    'listen',
    'Receives messages like Core-Dict, for trying out: prints each message of NOTIFY_URL on one line, until interrupted. ' +
      'With --json each line is the complete message, including personal data.',
    [
      'listen',
      'listen --from-start --most 10 --json',
      'NOTIFY_URL=ws://pulsar:8080 dict-vsync listen --subscription me',
    ],
  )
    .option('--subscription <NAME>', 'subscription that keeps the place in the topic (Pulsar)', 'core-dict')
    .option('--from-start', 'begin with the messages that are already in dict.notifications (Postgres)')
    .option('--most <N>', 'end after N messages', wholeNumber('--most', 1, 1_000_000_000))
    .action(async (options: ListenOptions) => {
      const { settings } = await ambient();
      const stopping = new AbortController();
      const stop = () => stopping.abort();
      process.once('SIGINT', stop).once('SIGTERM', stop);
      let received = 0;
      const take = (event: unknown) => {
        if (stopping.signal.aborted) return;
        process.stdout.write(`${options.json === true ? JSON.stringify(event) : formatEvent(event)}\n`);
        if (++received === options.most) stop();
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
        printNote(
          problem === undefined ? `Listening to ${topic}.` : `${problem}: the connection is retried.`,
        ),
    }),
  );
  const subscriptions = await Promise.all(subscribing);
  await new Promise<void>((resolve) => {
    if (stopping.aborted) resolve();
    stopping.addEventListener('abort', () => resolve());
  });
  await Promise.all(subscriptions.map(async (running) => running.close()));
}

/** The topics of all streams: one topic, or several if NOTIFY_TOPIC contains {participant} or {keyType}. */
function topicsOf({ NOTIFY_TOPIC, PARTICIPANT_ISPB }: Settings): string[] {
  const topics = PARTICIPANT_ISPB.flatMap((participant) =>
    [...KEY_TYPES, 'ALL'].map((keyType) =>
      NOTIFY_TOPIC.replaceAll('{participant}', participant).replaceAll('{keyType}', keyType),
    ),
  );
  return topics.length === 0 ? [NOTIFY_TOPIC] : [...new Set(topics)];
}
