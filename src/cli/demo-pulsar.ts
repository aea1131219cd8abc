import { randomBytes } from 'node:crypto';
import { givenBroker } from '../broker/broker.ts';
import { missingForJava } from '../broker/classpath.ts';
import { startStandalone } from '../broker/standalone.ts';
import { readSettings } from '../config.ts';
import { UsageError } from '../errors.ts';
import { type CloudEvent, subscribe } from '../notify/index.ts';
import { pulsarSettings } from './pulsar-settings.ts';

/** Core-Dict at a real Pulsar, for the demo. */
export interface DemoCoreDict {
  /** Settings of the way out. */
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
 * A Pulsar, with a Core-Dict that listens: the one of NOTIFY_URL or of PULSAR_URL, else one on this machine's Java (Apache
 * Pulsar standalone from Maven Central). Ends with `resources`. Errors: DV_PULSAR_UNAVAILABLE where none can be had,
 * DV_PULSAR_FAILED, DV_NOTIFY_ADDON_MISSING.
 */
export async function demoCoreDict(
  resources: AsyncDisposableStack,
  say: (line: string) => void,
): Promise<DemoCoreDict> {
  const settings = await reachedBy(resources, say);
  const heard = new Map<string, CloudEvent>();
  const connected = Promise.withResolvers<void>();
  let problem = 'no answer';
  const timer = setTimeout(
    () => connected.reject(unavailable(`Pulsar does not let Core-Dict listen (${problem})`)),
    CONNECT_MS,
  );
  const subscription = await subscribe({
    ...pulsarSettings(readSettings(settings)),
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
  resources: AsyncDisposableStack,
  say: (line: string) => void,
): Promise<Record<string, string>> {
  // Of its own, where NOTIFY_TOPIC would be: what other demos left in a topic is not this one's.
  const [, namespace = 'public/default'] =
    /^persistent:\/\/([^/{]+\/[^/{]+)\//.exec(process.env['NOTIFY_TOPIC'] ?? '') ?? [];
  const topic = `persistent://${namespace}/dict-vsync-demo-${randomBytes(4).toString('hex')}`;
  if (/^(ws|pulsar)/.test(process.env['NOTIFY_URL'] ?? '')) {
    const given = REACHED_BY.flatMap((name) => {
      const value = process.env[name] ?? '';
      return value === '' ? [] : [[name, value] as const];
    });
    return { NOTIFY_TOPIC: topic, ...Object.fromEntries(given) };
  }
  let broker = givenBroker();
  if (broker === undefined) {
    const missing = await missingForJava();
    if (missing !== undefined) throw unavailable(`There is no Pulsar for the demo (${missing})`);
    say("starts Apache Pulsar on this machine's Java (the first time Maven fetches it: 190 MB)");
    broker = await startStandalone();
    resources.defer(broker.stop);
  }
  return { NOTIFY_URL: broker.webSocketUrl, NOTIFY_TOPIC: topic };
}

function unavailable(what: string): UsageError {
  return new UsageError(
    'DV_PULSAR_UNAVAILABLE',
    `${what}. Name one by NOTIFY_URL=ws://HOST:8080 (or PULSAR_URL=pulsar://HOST:6650), or install Java 17 or later and Maven.`,
  );
}
