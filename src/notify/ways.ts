import { postgresWay } from './postgres-way.ts';
import { nativePulsarWay } from './pulsar-way.ts';
import { type PulsarSettings, readNamed } from './pulsar-settings.ts';
import { webSocketWay } from './websocket-way.ts';
import type { Way } from './way.ts';

/**
 * The way out that NOTIFY_URL names. Connects when the first message goes. Errors: DV_NOTIFY_ADDON_MISSING for pulsar://
 * without the native client, DV_SETTINGS_INVALID when a file cannot be read.
 */
export async function openWay(settings: PulsarSettings): Promise<Way> {
  if (settings.tokenFile !== undefined) readNamed('NOTIFY_TOKEN_FILE', settings.tokenFile);
  switch (settings.url.slice(0, settings.url.indexOf(':'))) {
    case 'ws':
    case 'wss':
      return webSocketWay(settings);
    case 'pulsar':
    case 'pulsar+ssl':
      return nativePulsarWay(settings);
    default:
      return postgresWay();
  }
}
