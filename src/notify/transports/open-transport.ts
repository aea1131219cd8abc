import { postgresWay } from './postgres-transport.ts';
import { nativePulsarWay } from './pulsar-transport.ts';
import { type PulsarSettings, readNamed } from '../pulsar/pulsar-connection.ts';
import { webSocketWay } from './websocket-transport.ts';
import type { Way } from './transport.ts';

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
