import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isSea } from 'node:sea';
import { readSettings } from '../../settings.ts';
import { DvError } from '../../errors/dv-error.ts';
import { type CloudEvent, subscribe } from '../../notify/index.ts';
import { pulsarSettings } from '../../service/pulsar-settings.ts';

/** A Core-Dict that is subscribed to a real Pulsar, for the demo. */
export interface DemoCoreDict {
  /** Settings of the transport. */
  settings: Record<string, string>;
  /** The messages received so far, in order, without repetitions. */
  received: CloudEvent[];
}

/** Names of the settings for connecting to the user's broker. */
const REACHED_BY = [
  'NOTIFY_URL',
  'NOTIFY_TOKEN',
  'NOTIFY_TOKEN_FILE',
  'NOTIFY_TLS_CA',
  'NOTIFY_TLS_CERT',
  'NOTIFY_TLS_KEY',
];

const CONNECT_MS = 30_000;

/**
 * Subscribes a Core-Dict to a Pulsar: that of `url` (default: NOTIFY_URL). Without either, in a checkout, the Pulsar of
 * the tests is started. It ends with `resources`. Errors: DV_PULSAR_UNAVAILABLE, DV_NOTIFY_ADDON_MISSING.
 */
export async function demoCoreDict(
  url: string | undefined,
  resources: AsyncDisposableStack,
  say: (line: string) => void,
): Promise<DemoCoreDict> {
  const settings = await reachedBy(url, resources, say);
  const received = new Map<string, CloudEvent>();
  const connected = Promise.withResolvers<void>();
  let problem = 'no answer';
  const timer = setTimeout(
    () => connected.reject(unavailable(`Core-Dict cannot subscribe to Pulsar (${problem})`)),
    CONNECT_MS,
  );
  const subscription = await subscribe({
    ...pulsarSettings(readSettings(settings)),
    settingsPrefix: 'NOTIFY',
    subscription: 'core-dict',
    take: async (messages) => {
      for (const { body } of messages) {
        const event = JSON.parse(body.toString('utf8')) as CloudEvent;
        received.set(event.id, event);
      }
      return messages.map(() => 'ack');
    },
    onConnection: (code) => {
      if (code === undefined) connected.resolve();
      else problem = code;
    },
  });
  resources.defer(async () => subscription.close());
  try {
    await connected.promise;
  } finally {
    clearTimeout(timer);
  }
  return {
    settings,
    get received() {
      return [...received.values()];
    },
  };
}

async function reachedBy(
  url: string | undefined,
  resources: AsyncDisposableStack,
  say: (line: string) => void,
): Promise<Record<string, string>> {
  // A new topic in the namespace of NOTIFY_TOPIC, so that it has no messages of other demos.
  const [, namespace = 'public/default'] =
    /^persistent:\/\/([^/{]+\/[^/{]+)\//.exec(process.env['NOTIFY_TOPIC'] ?? '') ?? [];
  const topic = `persistent://${namespace}/dict-vsync-demo-${randomBytes(4).toString('hex')}`;
  const named = url ?? process.env['NOTIFY_URL'] ?? '';
  if (/^(wss?|pulsar(\+ssl)?):/.test(named)) {
    const given = REACHED_BY.flatMap((name) => {
      const value = process.env[name] ?? '';
      return value === '' ? [] : [[name, value] as const];
    });
    return { ...Object.fromEntries(given), NOTIFY_TOPIC: topic, NOTIFY_URL: named };
  }
  if (url !== undefined) throw unavailable('--pulsar takes the URL of a Pulsar');
  const starter = testSupport();
  if (starter === undefined) throw unavailable('No Pulsar is available for the demo');
  say('starting the Pulsar of the tests (the first time Maven downloads it: 190 MB)');
  const { startBroker } = (await import(starter)) as TestSupport;
  const broker = await startBroker();
  if (typeof broker === 'string') throw unavailable(`No Pulsar is available for the demo (${broker})`);
  resources.defer(broker.stop);
  return { NOTIFY_URL: broker.webSocketUrl, NOTIFY_TOPIC: topic };
}

/** The part of test/support/pulsar that the demo uses. Only a checkout has it, not a release. */
interface TestSupport {
  startBroker(): Promise<{ webSocketUrl: string; stop(): Promise<void> } | string>;
}

function testSupport(): string | undefined {
  if (isSea()) return undefined;
  const file = new URL('../../../test/support/pulsar/start-pulsar.ts', import.meta.url);
  return existsSync(fileURLToPath(file)) ? file.href : undefined;
}

function unavailable(what: string): DvError {
  return new DvError(
    'DV_PULSAR_UNAVAILABLE',
    `${what}. Give the URL of a Pulsar: --pulsar ws://HOST:8080 or --pulsar pulsar://HOST:6650.`,
  );
}
