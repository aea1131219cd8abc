/** A Pulsar for the demo and for tests. */
export interface Broker {
  /** `pulsar://host:port` */
  serviceUrl: string;
  /** `ws://host:port` */
  webSocketUrl: string;
  /** `http://host:port` of the admin API. */
  adminUrl: string;
  /** The same addresses with TLS, if requested. */
  tls?: { serviceUrl: string; webSocketUrl: string };
  /** A super user's token, if needed. */
  token?: string;
  stop(): Promise<void>;
}

/**
 * The Pulsar that PULSAR_URL names (pulsar://host:port), with its admin API and WebSocket at PULSAR_HTTP_URL (default:
 * port 8080 of the same host); undefined when it is not set.
 */
export function givenBroker(): Broker | undefined {
  const url = process.env['PULSAR_URL'] ?? '';
  if (url === '') return undefined;
  const adminUrl = (process.env['PULSAR_HTTP_URL'] ?? `http://${new URL(url).hostname}:8080`).replace(
    /\/$/,
    '',
  );
  return {
    serviceUrl: url,
    adminUrl,
    webSocketUrl: adminUrl.replace(/^http/, 'ws'),
    stop: async () => undefined,
  };
}
