import { postgresTransport } from './postgres-transport.ts';
import { pulsarTransport } from './pulsar-transport.ts';
import { type PulsarSettings, readNamed } from '../pulsar/pulsar-connection.ts';
import { webSocketTransport } from './websocket-transport.ts';
import type { Transport } from './transport.ts';

/**
 * The transport that NOTIFY_URL names. It connects when it sends the first message. Errors: DV_NOTIFY_ADDON_MISSING for
 * pulsar:// without the native client, DV_SETTINGS_INVALID if a file cannot be read.
 */
export async function openTransport(settings: PulsarSettings): Promise<Transport> {
  if (settings.tokenFile !== undefined) readNamed('NOTIFY_TOKEN_FILE', settings.tokenFile);
  switch (settings.url.slice(0, settings.url.indexOf(':'))) {
    case 'ws':
    case 'wss':
      return webSocketTransport(settings);
    case 'pulsar':
    case 'pulsar+ssl':
      return pulsarTransport(settings);
    default:
      return postgresTransport();
  }
}
