import type { Settings } from '../settings.ts';
import type { PulsarSettings } from '../notify/index.ts';

/** How to connect to Pulsar, from the settings. `url` and `topic` are those of the transport. */
export function pulsarSettings(settings: Settings): PulsarSettings {
  return {
    url: settings.NOTIFY_URL,
    topic: settings.NOTIFY_TOPIC,
    token: settings.NOTIFY_TOKEN,
    tokenFile: settings.NOTIFY_TOKEN_FILE,
    tlsCa: settings.NOTIFY_TLS_CA,
    tlsCert: settings.NOTIFY_TLS_CERT,
    tlsKey: settings.NOTIFY_TLS_KEY,
  };
}
