import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isSea } from 'node:sea';
import { readSettings } from '../../settings.ts';
import { DvError } from '../../errors/dv-error.ts';
import { type CloudEvent, subscribe } from '../../notify/index.ts';
import { pulsarSettings } from '../../service/pulsar-settings.ts';

/** Core-Dict at a real Pulsar, for the demo. */
export interface DemoCoreDict {
  /** Settings of the transport. */
  settings: Record<string, string>;
  /** What came so far, in its order; a message that came twice once. */
  heard: CloudEvent[];
}

/** Names of the settings by which a broker of the user's is reached. */
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
 * A Pulsar, with a Core-Dict that listens: the one of `url` (default: NOTIFY_URL); without either, in a checkout, the one
 * that the tests start. Ends with `resources`. Errors: DV_PULSAR_UNAVAILABLE where none can be had, DV_NOTIFY_ADDON_MISSING.
 */
export async function demoCoreDict(
  url: string | undefined,
  resources: AsyncDisposableStack,
  say: (line: string) => void,
): Promise<DemoCoreDict> {
  const settings = await reachedBy(url, resources, say);
  const heard = new Map<string, CloudEvent>();
  const connected = Promise.withResolvers<void>();
  let problem = 'no answer';
  const timer = setTimeout(
    () => connected.reject(unavailable(`Pulsar does not let Core-Dict listen (${problem})`)),
    CONNECT_MS,
  );
  const subscription = await subscribe({
    ...pulsarSettings(readSettings(settings)),
    settingsPrefix: 'NOTIFY',
    subscription: 'core-dict',
    take: async (messages) => {
      for (const { body } of messages) {
        const event = JSON.parse(body.toString('utf8')) as CloudEvent;
        heard.set(event.id, event);
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
    get heard() {
      return [...heard.values()];
    },
  };
}

async function reachedBy(
  url: string | undefined,
  resources: AsyncDisposableStack,
  say: (line: string) => void,
): Promise<Record<string, string>> {
  // Of its own, where NOTIFY_TOPIC would be: what other demos left in a topic is not this one's.
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
  if (starter === undefined) throw unavailable('The demo has no Pulsar to talk to');
  say('starts the Pulsar that the tests use (the first time Maven fetches it: 190 MB)');
  const { startBroker } = (await import(starter)) as TestSupport;
  const broker = await startBroker();
  if (typeof broker === 'string') throw unavailable(`The demo has no Pulsar to talk to (${broker})`);
  resources.defer(broker.stop);
  return { NOTIFY_URL: broker.webSocketUrl, NOTIFY_TOPIC: topic };
}

/** What the demo uses of test/support/pulsar, which only a checkout has: the program ships without it. */
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
    `${what}. Name one: --pulsar ws://HOST:8080 or --pulsar pulsar://HOST:6650.`,
  );
}
